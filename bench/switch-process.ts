/** The switch under test as a program: takes its configuration as JSON, says "ready", ends on SIGTERM; on SIGUSR2 a worker dies. */
import { createSwitch } from 'tapswitch';

const tapswitch = await createSwitch(JSON.parse(process.argv[2] as string));
process.once('SIGTERM', () => void tapswitch.close());
process.on('SIGUSR2', () => tapswitch.crashWorker(0));
process.stdout.write('ready\n');
