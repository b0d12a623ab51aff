import { expect, test } from 'vitest';
import { nowhere } from '../../src/config/fault.ts';
import { resolveForward } from '../../src/config/forwards.ts';
import { withoutForwards } from '../../src/control/stored-forwards.ts';

const removed = (...specs: string[]) => specs.flatMap((spec) => resolveForward(spec, nowhere, []));

test.each([
  ['all of one entry', ['1:2', '3:4'], ['127.0.0.1:1:2'], ['3:4']],
  [
    'one port of a range',
    ['8000-8002:80-82'],
    ['8001:81'],
    ['127.0.0.1:8000:80/tcp', '127.0.0.1:8002:82/tcp'],
  ],
  ['a whole range', ['8000-8002:80-82'], ['8000-8002:80-82'], []],
  ['another protocol', ['53:53/udp'], ['53:53/tcp'], ['53:53/udp']],
  ['chosen ports: one of two', ['0:80', '0:80'], ['0:80'], ['0:80']],
  ['a socket', ['unix:/run/a:80', '[::1]:1:80'], ['unix:/run/a:80'], ['[::1]:1:80']],
])('%s', (_fact, asked, gone, left) => {
  expect(withoutForwards(asked, removed(...gone))).toEqual(left);
});

test('one port of a range that waits -> the others wait as long', () => {
  const asked = [{ listen: '8000-8001:80-81', wait: 5 }];
  expect(withoutForwards(asked, removed('8000:80'))).toEqual([{ listen: '127.0.0.1:8001:81/tcp', wait: 5 }]);
});

test('what nobody asked for -> is left in the list of what was removed', () => {
  const gone = removed('1:2', '3:4');
  withoutForwards(['1:2'], gone);
  expect(gone).toEqual(removed('3:4'));
});
