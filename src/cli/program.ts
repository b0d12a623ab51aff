/** The tree of commands. */
import { Command } from 'commander';
import { captureCommand } from './capture.ts';
import { completionCommand } from './completion.ts';
import { configCommand } from './config.ts';
import { demoCommand } from './demo.ts';
import { diagnoseCommand } from './diagnose.ts';
import { doctorCommand } from './doctor.ts';
import { extcapCommand } from './extcap.ts';
import { forwardCommand } from './forward.ts';
import { liveCommands } from './live.ts';
import { tableCommands } from './tables.ts';
import { traceCommand } from './trace.ts';
import { upCommand } from './up.ts';
import { vmCommand } from './vm.ts';
import { whyCommand } from './why.ts';

/** Has commander throw instead of ending the process, in every command. */
function throwing(command: Command): Command {
  command.exitOverride().helpCommand(false);
  for (const one of command.commands) throwing(one);
  return command;
}

export function createProgram(version: string): Command {
  const program = new Command('tapswitch')
    .description('A userspace Ethernet switch for microVM TAP devices')
    .version(version, '--version', 'print the version')
    .option('--socket <path>', "the daemon's socket (default TAPSWITCH_SOCKET, else /run/tapswitch/api.sock)")
    .addHelpText('after', '\nExamples:\n  tapswitch up --config /etc/tapswitch.yaml\n  tapswitch vm ls');
  const commands = [
    upCommand(version),
    vmCommand(),
    forwardCommand(),
    ...tableCommands(),
    ...liveCommands(),
    diagnoseCommand(),
    whyCommand(),
    captureCommand(),
    traceCommand(),
    extcapCommand(version),
    configCommand(),
    doctorCommand(),
    completionCommand(),
    demoCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  return throwing(program);
}
