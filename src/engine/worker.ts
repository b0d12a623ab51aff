/** Entry of a datapath worker thread. */
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { nameThread } from '../sys/thread-name.ts';
import { type CommandMessage, datapathThreadName, type WorkerMessage, type WorkerSetup } from './commands.ts';
import { Datapath } from './datapath.ts';

const { setup, control } = workerData as { setup: WorkerSetup; control: MessagePort };

function say(message: WorkerMessage): void {
  control.postMessage(message);
}

nameThread(datapathThreadName(setup.worker));
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
  offload: (question) => say({ type: 'offload', ...question }),
});
say({ type: 'running' });
datapath.run();
