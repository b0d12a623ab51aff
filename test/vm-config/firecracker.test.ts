import { describe, expect, test } from 'vitest';
import { parseFirecrackerVm, readFirecrackerVm, withSnippet } from '../../src/vm-config/firecracker.ts';
import { qemuArguments } from '../../src/vm-config/qemu.ts';
import { firecrackerSnippet } from '../../src/vm-config/snippet.ts';
import { messageOf } from '../config/fixtures.ts';
import { firstBlock } from '../docs/tables.ts';

const GUEST = {
  tap: 'fc-vm-02018',
  mac: '06:00:c0:a8:00:0e',
  ip: '192.168.0.14',
  prefix: 16,
  gateway: '192.168.0.1',
};
const IP = 'ip=192.168.0.14::192.168.0.1:255.255.0.0::eth0:off';
const BARE = { tap: 'tap0', prefix: 16, gateway: '192.168.0.1' };
const PLACE = { tap: 'fc-vm-02018', mac: '06:00:c0:a8:00:0e', ip: '192.168.0.14', gateway: '192.168.0.1' };

/** A VM as Firecracker's documentation has it. */
const VM = {
  'boot-source': { kernel_image_path: 'vmlinux', boot_args: 'console=ttyS0 reboot=k panic=1 pci=off' },
  drives: [{ drive_id: 'rootfs', path_on_host: 'root.ext4', is_root_device: true, is_read_only: false }],
  'machine-config': { vcpu_count: 2, mem_size_mib: 1024 },
};
const card = (odd: object = {}) => ({ iface_id: 'eth0', host_dev_name: 'tap0', ...odd });

describe('firecrackerSnippet', () => {
  test('VM with addresses -> its interface, and ip=', () => {
    expect(firecrackerSnippet(GUEST)).toEqual({
      'network-interfaces': [
        { iface_id: 'eth0', host_dev_name: 'fc-vm-02018', guest_mac: '06:00:c0:a8:00:0e' },
      ],
      boot_args: IP,
    });
  });

  test('VM without addresses -> its TAP alone', () => {
    expect(firecrackerSnippet(BARE)).toEqual({ 'network-interfaces': [card()], boot_args: '' });
  });
});

describe('withSnippet', () => {
  test('VM without a network -> gets one, the rest stays; read back it is the same place', () => {
    const merged = withSnippet(VM, firecrackerSnippet(GUEST));
    expect(merged).toEqual({
      ...VM,
      'boot-source': {
        kernel_image_path: 'vmlinux',
        boot_args: `console=ttyS0 reboot=k panic=1 pci=off ${IP}`,
      },
      'network-interfaces': firecrackerSnippet(GUEST)['network-interfaces'],
    });
    expect(parseFirecrackerVm(JSON.stringify(merged))).toEqual(PLACE);
    expect(withSnippet(merged, firecrackerSnippet(GUEST))).toEqual(merged);
  });

  test('its interface is there -> keeps id and limits, another interface is left alone; the input too', () => {
    const limiter = { bandwidth: { size: 1, refill_time: 1 } };
    const other = card({ iface_id: 'mgmt' });
    const vm = {
      'network-interfaces': [other, { iface_id: 'net1', host_dev_name: GUEST.tap, rx_rate_limiter: limiter }],
    };
    const before = structuredClone(vm);
    expect(withSnippet(vm, firecrackerSnippet(GUEST))['network-interfaces']).toEqual([
      other,
      { iface_id: 'eth0', host_dev_name: GUEST.tap, guest_mac: GUEST.mac, rx_rate_limiter: limiter },
    ]);
    expect(vm).toEqual(before);
  });

  test('VM that asks by DHCP, no boot_args -> none, so that Firecracker`s default stays', () => {
    const vm = { 'boot-source': { kernel_image_path: 'vmlinux', boot_args: null } };
    expect(withSnippet(vm, firecrackerSnippet(BARE))).toEqual({ ...vm, 'network-interfaces': [card()] });
    expect(withSnippet({}, firecrackerSnippet(BARE))).toEqual({ 'network-interfaces': [card()] });
  });
});

describe('readFirecrackerVm', () => {
  test('no MAC, no ip= -> the TAP alone', () => {
    expect(readFirecrackerVm({ ...VM, 'network-interfaces': [card({ guest_mac: null })] })).toEqual({
      tap: 'tap0',
    });
  });

  test('MAC in upper case with dashes -> as the switch writes it', () => {
    const vm = { 'network-interfaces': [card({ guest_mac: 'AA-FC-00-00-00-01' })] };
    expect(readFirecrackerVm(vm).mac).toBe('aa:fc:00:00:00:01');
  });

  test('two interfaces -> the one named, with ip= where that means it', () => {
    const vm = {
      'boot-source': { boot_args: 'ip=10.0.0.2::10.0.0.1:255.0.0.0::eth1:off' },
      'network-interfaces': [card(), card({ iface_id: 'data', host_dev_name: 'tap1' })],
    };
    expect(readFirecrackerVm(vm, 'data')).toEqual({ tap: 'tap1', ip: '10.0.0.2', gateway: '10.0.0.1' });
    expect(readFirecrackerVm(vm, 'eth0')).toEqual({ tap: 'tap0' });
  });

  const two = [card(), card({ iface_id: 'b', host_dev_name: 'tap1' })];
  test.each<[fact: string, vm: unknown, message: string, id?: string]>([
    ['a list', [], 'the whole is not an object'],
    ['nothing', null, 'the whole is not an object'],
    ['no interface', {}, 'network-interfaces is empty'],
    ['interfaces no list', { 'network-interfaces': {} }, 'network-interfaces is not a list'],
    ['interface no object', { 'network-interfaces': ['eth0'] }, 'network-interfaces[0] is not an object'],
    [
      'no id',
      { 'network-interfaces': [{ host_dev_name: 't' }] },
      'network-interfaces[0].iface_id is not text',
    ],
    [
      'no TAP',
      { 'network-interfaces': [{ iface_id: 'a' }] },
      'network-interfaces[0].host_dev_name is not text',
    ],
    [
      'TAP that can be none',
      { 'network-interfaces': [card({ host_dev_name: '../a' })] },
      'network-interfaces[0].host_dev_name is not a valid interface name',
    ],
    [
      'MAC that is none',
      { 'network-interfaces': [card({ guest_mac: 'x' })] },
      'network-interfaces[0].guest_mac is not a MAC address',
    ],
    ['two interfaces', { 'network-interfaces': two }, 'there are 2 interfaces'],
    ['another interface', { 'network-interfaces': two }, 'there is no interface "c"', 'c'],
    [
      'boot-source no object',
      { 'network-interfaces': [card()], 'boot-source': 1 },
      'boot-source is not an object',
    ],
    [
      'boot_args no text',
      { 'network-interfaces': [card()], 'boot-source': { boot_args: [] } },
      'boot-source.boot_args is not text',
    ],
    [
      'address that is none',
      { 'network-interfaces': [card()], 'boot-source': { boot_args: 'ip=10.0.0.256' } },
      'ip= of boot-source.boot_args: "10.0.0.256" is not an IPv4 address',
    ],
  ])('%s -> FIRECRACKER_INVALID in one line', (_fact, vm, message, id) => {
    expect(messageOf('FIRECRACKER_INVALID', () => readFirecrackerVm(vm, id))).toBe(
      `Firecracker configuration: ${message}`,
    );
  });

  test.each(['', '{', '{\n"a": x\n}'])('%j is no JSON -> FIRECRACKER_INVALID in one line', (json) => {
    expect(messageOf('FIRECRACKER_INVALID', () => parseFirecrackerVm(json))).toContain('not JSON: ');
  });

  test('the example of the guide -> its VM', () => {
    expect(parseFirecrackerVm(firstBlock('docs/firecracker.md', 'json'))).toEqual(PLACE);
  });
});

describe('qemuArguments', () => {
  test('VM with addresses -> its card without scripts, and ip=', () => {
    expect(qemuArguments(GUEST)).toEqual({
      arguments: [
        '-netdev',
        'tap,id=net0,ifname=fc-vm-02018,script=no,downscript=no,vhost=off',
        '-device',
        'virtio-net-pci,netdev=net0,mac=06:00:c0:a8:00:0e',
      ],
      append: IP,
    });
  });

  test('TAP with a comma, no addresses -> the comma twice, no mac, nothing to append', () => {
    const { arguments: words, append } = qemuArguments({ ...BARE, tap: 'a,b' });
    expect(words[1]).toContain('ifname=a,,b,script=no');
    expect(words[3]).toBe('virtio-net-pci,netdev=net0');
    expect(append).toBe('');
  });
});
