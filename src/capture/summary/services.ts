/** DHCP and DNS messages in a word or two. */
import * as dhcp from '../../wire/dhcp.ts';
import * as dns from '../../wire/dns.ts';
import { formatIpv4 } from '../../wire/ipv4.ts';

export const DHCP_PORTS: readonly number[] = [dhcp.SERVER_PORT, dhcp.CLIENT_PORT];
/** DNS, and multicast DNS (RFC 6762), whose messages have the same form */
export const DNS_PORTS: readonly number[] = [53, 5353];

const MESSAGES: Readonly<Record<number, string>> = {
  [dhcp.DISCOVER]: 'discover',
  [dhcp.OFFER]: 'offer',
  [dhcp.REQUEST]: 'request',
  [dhcp.DECLINE]: 'decline',
  [dhcp.ACK]: 'ack',
  [dhcp.NAK]: 'nak',
  [dhcp.RELEASE]: 'release',
  [dhcp.INFORM]: 'inform',
};
// https://www.iana.org/assignments/dns-parameters
const TYPES: Readonly<Record<number, string>> = {
  [dns.TYPE_A]: 'A',
  2: 'NS',
  5: 'CNAME',
  6: 'SOA',
  [dns.TYPE_PTR]: 'PTR',
  15: 'MX',
  16: 'TXT',
  [dns.TYPE_AAAA]: 'AAAA',
  33: 'SRV',
  65: 'HTTPS',
  [dns.TYPE_ANY]: 'ANY',
};
const RCODES: Readonly<Record<number, string>> = {
  [dns.RCODE_FORMERR]: 'FORMERR',
  [dns.RCODE_SERVFAIL]: 'SERVFAIL',
  [dns.RCODE_NXDOMAIN]: 'NXDOMAIN',
  [dns.RCODE_NOTIMP]: 'NOTIMP',
  [dns.RCODE_REFUSED]: 'REFUSED',
};

/** '' for what is no DHCP. */
export function summarizeDhcp(view: DataView, at: number, length: number): string {
  if (!dhcp.check(view, at, length) && !dhcp.checkReply(view, at, length)) return '';
  const type = dhcp.messageType(view, at, length);
  const given = dhcp.givenAddress(view, at);
  const asked =
    dhcp.addressOption(view, at, length, dhcp.OPTION_REQUESTED_ADDRESS) || dhcp.clientAddress(view, at);
  const address = given === 0 ? asked : given;
  return `DHCP ${MESSAGES[type] ?? `message ${type}`}${address === 0 ? '' : ` ${formatIpv4(address)}`}`;
}

/** '' for what is no DNS. */
export function summarizeDns(view: DataView, at: number, length: number): string {
  if (!dns.check(view, at, length)) return '';
  const end = dns.questionEnd(view, at, length);
  const isResponse = dns.isResponse(view, at);
  if (end === dns.NONE) return `DNS ${isResponse ? 'response' : 'query'}, ${length} bytes`;
  const type = dns.questionType(view, end);
  const question = `${TYPES[type] ?? `TYPE${type}`} ${dns.questionName(view, at) || '.'}`;
  if (!isResponse) return `DNS query ${question}`;
  const rcode = dns.rcode(view, at);
  if (rcode !== dns.RCODE_NOERROR) return `DNS ${RCODES[rcode] ?? `code ${rcode}`} ${question}`;
  const records = dns.answerCount(view, at);
  const answers = `${records} answer${records === 1 ? '' : 's'}`;
  return `DNS response ${question}, ${answers}${dns.isTruncated(view, at) ? ', truncated' : ''}`;
}
