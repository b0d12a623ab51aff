/** The switch under test as a program: takes its configuration as JSON, says "ready", ends on SIGTERM. */
import { createSwitch } from 'tapswitch';

const tapswitch = await createSwitch(JSON.parse(process.argv[2] as string));
process.once('SIGTERM', () => void tapswitch.close());
process.stdout.write('ready\n');
