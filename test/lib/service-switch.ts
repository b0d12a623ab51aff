/** The test switch with a network of its own choosing: IPv6, clones, an MTU. */
import { maskOf } from '../../src/wire/ipv4.ts';
import { GATEWAY } from './frames.ts';
import { GATEWAY6, words6 } from './frames6.ts';
import { int32, NETWORK, TestSwitch, type TestSwitchOptions } from './test-switch.ts';

export interface ServiceOptions extends TestSwitchOptions {
  readonly clones?: boolean;
  readonly mtu?: number;
  /** Whether the gateway has an IPv6 address; it has unless false */
  readonly six?: boolean;
}

export class ServiceSwitch extends TestSwitch {
  constructor(options: ServiceOptions = {}) {
    super(options);
    const { mode = 'isolated', clones = false, mtu = 1500, six = true } = options;
    this.tables.setNetwork(NETWORK, {
      isolated: mode === 'isolated',
      gateway: int32(GATEWAY.ip),
      subnet: int32('192.168.0.0'),
      mask: maskOf(16),
      mtu,
      clones,
      ...(six ? { gateway6: words6(GATEWAY6) } : {}),
    });
    if (this.host !== 0) this.tables.setHostPort(NETWORK, this.host, int32('192.168.255.254'));
  }
}
