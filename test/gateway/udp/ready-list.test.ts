import { expect, test } from 'vitest';
import { type Readable, ReadyList } from '../../../src/gateway/udp/ready-list.ts';

class Source implements Readable {
  nextReady: Readable | undefined = undefined;
  isReady = false;
  readonly #turns: string[];
  readonly #name: string;
  #left: number;

  constructor(turns: string[], name: string, left: number) {
    this.#turns = turns;
    this.#name = name;
    this.#left = left;
  }

  receive(): boolean {
    this.#turns.push(this.#name);
    this.#left--;
    return this.#left > 0;
  }
}

test('done in one turn -> not in the list', () => {
  const list = new ReadyList();
  list.visit(new Source([], 'a', 1));
  expect(list.busy).toBe(false);
});

test('two with more -> a turn each, until both are done', () => {
  const turns: string[] = [];
  const list = new ReadyList();
  list.visit(new Source(turns, 'a', 3));
  list.visit(new Source(turns, 'b', 2));
  list.run();
  expect(list.busy).toBe(true);
  list.run();
  expect(list.busy).toBe(false);
  expect(turns).toEqual(['a', 'b', 'a', 'b', 'a']);
});

test('ready again while it waits for its turn -> no turn more', () => {
  const turns: string[] = [];
  const list = new ReadyList();
  const source = new Source(turns, 'a', 3);
  list.visit(source);
  list.visit(source);
  list.run();
  list.run();
  expect(turns).toEqual(['a', 'a', 'a']);
  expect(list.busy).toBe(false);
});
