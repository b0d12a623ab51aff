/** The addresses VMs have now, for names that are answered here. */
import { type IpWords, ipv4Words, isIpv4 } from '../../config/ip.ts';
import { NONE } from '../../switch/shared-map.ts';
import { ADDRESS_UNKNOWN, KIND_VM, type Tables } from '../../switch/tables.ts';
import type { Clock } from '../../sys/clock.ts';
import type { AddressBook } from './names.ts';

export class TableAddressBook implements AddressBook {
  readonly #tables: Tables;
  readonly #clock: Clock;

  constructor(tables: Tables, clock: Clock) {
    this.#tables = tables;
    this.#clock = clock;
  }

  addressesOf(port: number): readonly IpWords[] {
    const tables = this.#tables;
    if (tables.kind(port) !== KIND_VM) return [];
    const addresses: IpWords[] = [];
    // A VM that has not spoken yet will have the address it is given.
    const ip = tables.ipState(port) === ADDRESS_UNKNOWN ? tables.leaseAddress(port) : tables.ip(port);
    if (ip !== 0) addresses.push(ipv4Words(ip));
    for (let i = 0; i < tables.ipv6Count(port); i++) {
      const word = (index: number) => tables.ipv6Word(port, i, index);
      addresses.push([word(0), word(1), word(2), word(3)]);
    }
    return addresses;
  }

  portOf(network: number, address: IpWords): number {
    const tables = this.#tables;
    if (!isIpv4(address)) return Math.max(0, tables.portOfIpv6(network, ...address));
    const entry = tables.neighbours.find(address[3], 0, network, this.#clock.seconds);
    return entry === NONE ? 0 : tables.neighbours.value(entry);
  }
}
