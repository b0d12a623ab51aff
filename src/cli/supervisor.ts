/** What the service manager is told: sd_notify(3), and its watchdog. */
import type { ControlPlane } from '../control/contract.ts';
import { notify } from '../sys/notify-socket.ts';

/** How many times within its patience the watchdog is fed */
const FEEDS = 3;

/** Says that the daemon is ready, and feeds the watchdog while every datapath thread lives. How to stop that. */
export function tellSupervisor(plane: ControlPlane, environment: NodeJS.ProcessEnv): () => void {
  notify('READY=1');
  const patienceMs = Number(environment.WATCHDOG_USEC ?? 0) / 1000;
  if (!(patienceMs > 0)) return () => notify('STOPPING=1');
  const feed = setInterval(() => {
    if (plane.health().status === 'ok') notify('WATCHDOG=1');
  }, patienceMs / FEEDS);
  return () => {
    clearInterval(feed);
    notify('STOPPING=1');
  };
}
