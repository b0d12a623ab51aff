/** DHCP messages as clients send them, and answers in readable form; built and read without the code under test. */
import { type Ends, EVERYBODY, ipBytes, ipv4Udp, macBytes, PACKET, type Station } from './frames.ts';

const COOKIE = [0x63, 0x82, 0x53, 0x63];
/** Offset of the DHCP message in a frame without IP options */
export const DHCP = PACKET + 28;

export interface DhcpFields {
  readonly from: Station;
  /** Message type, none where absent */
  readonly type?: number;
  readonly transaction?: number;
  readonly broadcast?: boolean;
  readonly client?: string;
  readonly relay?: string;
  readonly requested?: string;
  readonly server?: string;
  /** Further options, bytes */
  readonly more?: readonly number[];
  readonly operation?: number;
  readonly ends?: Ends;
  readonly fromPort?: number;
  readonly headerOptions?: readonly number[];
}

function option(code: number, data: readonly number[] | undefined): number[] {
  return data === undefined ? [] : [code, data.length, ...data];
}

function address(text: string | undefined): number[] | undefined {
  return text === undefined ? undefined : ipBytes(text);
}

/** The message alone. */
export function dhcpMessage(fields: DhcpFields): number[] {
  const { from, type, transaction = 0x3903f326, broadcast = false, operation = 1 } = fields;
  const xid = [transaction >>> 24, transaction >>> 16, transaction >>> 8, transaction].map((b) => b & 0xff);
  const addresses = [fields.client ?? '0.0.0.0', '0.0.0.0', '0.0.0.0', fields.relay ?? '0.0.0.0'];
  return [
    ...[operation, 1, 6, 0, ...xid, 0, 9, broadcast ? 0x80 : 0, 0],
    ...addresses.flatMap(ipBytes),
    ...macBytes(from.mac),
    ...new Uint8Array(10 + 64 + 128),
    ...COOKIE,
    ...option(53, type === undefined ? undefined : [type]),
    ...option(50, address(fields.requested)),
    ...option(54, address(fields.server)),
    ...(fields.more ?? []),
    255,
  ];
}

/** The message in a frame from a client without address to everybody, unless `ends` says otherwise. */
export function dhcpFrame(fields: DhcpFields): Uint8Array {
  const { from, fromPort = 68 } = fields;
  const ends = fields.ends ?? { from: { mac: from.mac, ip: '0.0.0.0' }, to: EVERYBODY };
  const options = fields.headerOptions ?? [];
  return ipv4Udp({ ...ends, fromPort, toPort: 67, options, data: dhcpMessage(fields) });
}

export interface DhcpAnswer {
  readonly toMac: string;
  readonly from: string;
  readonly to: string;
  readonly ports: readonly number[];
  readonly operation: number;
  readonly transaction: number;
  readonly broadcast: boolean;
  readonly client: string;
  readonly given: string;
  readonly hardware: string;
  /** Bytes of the message */
  readonly bytes: number;
  /** Data of each option in hex, in order */
  readonly options: Readonly<Record<number, string>>;
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function macText(bytes: Uint8Array): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(':');
}

/** Reads a server's frame. */
export function readDhcp(frame: Uint8Array): DhcpAnswer {
  const view = new DataView(frame.buffer, frame.byteOffset);
  const message = frame.subarray(DHCP);
  const ip = (bytes: Uint8Array, at: number) => bytes.subarray(at, at + 4).join('.');
  const options: Record<number, string> = {};
  for (let at = 240; message[at] !== 255; at += 2 + (message[at + 1] as number)) {
    options[message[at] as number] = hexOf(message.subarray(at + 2, at + 2 + (message[at + 1] as number)));
  }
  return {
    toMac: macText(frame.subarray(10, 16)),
    from: ip(frame, PACKET + 12),
    to: ip(frame, PACKET + 16),
    ports: [view.getUint16(PACKET + 20), view.getUint16(PACKET + 22)],
    operation: message[0] as number,
    transaction: view.getUint32(DHCP + 4),
    broadcast: ((message[10] as number) & 0x80) !== 0,
    client: ip(message, 12),
    given: ip(message, 16),
    hardware: macText(message.subarray(28, 34)),
    bytes: message.length,
    options,
  };
}
