/** What names a flow, whatever its protocol. */
import { isMapped, MAPPED } from '../sys/inet-socket.ts';
import * as ipv4 from '../wire/ipv4.ts';
import * as ipv6 from '../wire/ipv6.ts';

/**
 * The VM's port, and the two ends as the guest sees them: addresses as in sys/inet-socket, of an echo flow the
 * identifier in place of the guest's port and 0 in place of the remote one. Identity is the VM's port: two VMs with the
 * same address have flows of their own.
 */
export class FlowKey {
  port = 0;
  guest0 = 0;
  guest1 = 0;
  guest2 = 0;
  guest3 = 0;
  guestPort = 0;
  remote0 = 0;
  remote1 = 0;
  remote2 = 0;
  remote3 = 0;
  remotePort = 0;

  get isIpv4(): boolean {
    return isMapped(this.remote0, this.remote1, this.remote2);
  }

  /** Takes the name of another. */
  take(other: FlowKey): void {
    this.port = other.port;
    this.guest0 = other.guest0;
    this.guest1 = other.guest1;
    this.guest2 = other.guest2;
    this.guest3 = other.guest3;
    this.guestPort = other.guestPort;
    this.remote0 = other.remote0;
    this.remote1 = other.remote1;
    this.remote2 = other.remote2;
    this.remote3 = other.remote3;
    this.remotePort = other.remotePort;
  }

  /** Takes the addresses of a guest's packet, whose IP header is at `packet`. */
  takeAddresses(view: DataView, packet: number, isIpv4: boolean): void {
    this.guest0 = isIpv4 ? 0 : ipv6.sourceWord(view, packet, 0);
    this.guest1 = isIpv4 ? 0 : ipv6.sourceWord(view, packet, 1);
    this.guest2 = isIpv4 ? MAPPED : ipv6.sourceWord(view, packet, 2);
    this.guest3 = isIpv4 ? ipv4.source(view, packet) : ipv6.sourceWord(view, packet, 3);
    this.remote0 = isIpv4 ? 0 : ipv6.destinationWord(view, packet, 0);
    this.remote1 = isIpv4 ? 0 : ipv6.destinationWord(view, packet, 1);
    this.remote2 = isIpv4 ? MAPPED : ipv6.destinationWord(view, packet, 2);
    this.remote3 = isIpv4 ? ipv4.destination(view, packet) : ipv6.destinationWord(view, packet, 3);
  }
}
