/** Entry of a datapath worker thread. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import type { CommandMessage, WorkerMessage, WorkerSetup } from './commands.ts';
import { Datapath } from './datapath.ts';

const { setup, control } = workerData as { setup: WorkerSetup; control: MessagePort };

function say(message: WorkerMessage): void {
  control.postMessage(message);
}

const datapath = new Datapath(setup, {
  commands() {
    // The loop never returns to the thread's own event loop, so messages are fetched, not delivered.
    for (let received = receiveMessageOnPort(control); received; received = receiveMessageOnPort(control)) {
      const command = received.message as CommandMessage;
      const answer = datapath.execute(command);
      say({ type: 'done', sequence: command.sequence, answer });
    }
  },
  watched: (token) => say({ type: 'watched', token }),
  gaveUp: (what) => say({ type: 'gave-up', what }),
  dialed: (number, news) => say({ type: 'dialed', number, news }),
  reached: (port, guestPort) => say({ type: 'reached', port, guestPort }),
});
say({ type: 'running' });
datapath.run();
