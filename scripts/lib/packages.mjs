// The Debian packages the project uses, and what for. The switch itself needs none of them.

const QEMU = { x64: 'qemu-system-x86', arm64: 'qemu-system-arm' }[process.arch];

/** What `npm start` uses: two real guests, and the programs that show that they are reached. */
export const DEMO_PACKAGES = [
  ...(QEMU === undefined ? [] : [{ name: QEMU, why: 'boots the guests (software emulation)' }]),
  { name: 'busybox-static', why: 'is what runs inside the guests' },
  { name: 'iputils-ping', why: 'pings the guests from the host' },
];

/** What `npm test` uses beyond that: other programs as oracles, and the hostile host. */
export const TEST_PACKAGES = [
  ...DEMO_PACKAGES,
  { name: 'curl', why: 'says "No route to host" where a bridge fails' },
  { name: 'iperf3', why: 'measures throughput' },
  { name: 'iproute2', why: 'sets up and inspects what the switch is tested on' },
  { name: 'ebtables', why: 'makes the ARP drop that breaks a Linux bridge' },
  { name: 'iptables', why: 'makes the FORWARD drop that breaks a Linux bridge' },
  { name: 'nftables', why: 'makes the bridge-family drop that breaks a Linux bridge' },
  { name: 'tcpdump', why: 'reads frames as an independent decoder' },
  { name: 'tshark', why: 'reads capture files as Wireshark does' },
  { name: 'iputils-arping', why: 'asks for addresses by ARP' },
  { name: 'bind9-dnsutils', why: "asks the gateway's DNS as people do (dig)" },
  { name: 'dhcpcd-base', why: 'asks for a lease, beside what BusyBox has' },
  { name: 'ethtool', why: 'turns offloads on and off' },
  { name: 'chromium', why: 'is the browser that looks at a VM' },
  { name: 'xvfb', why: "is the guest's screen that it looks at" },
  { name: 'x11-xserver-utils', why: 'colours that screen' },
  { name: 'x11vnc', why: 'serves that screen' },
  { name: 'websockify', why: 'brings it to a WebSocket' },
  { name: 'novnc', why: 'is the page that shows it' },
  { name: 'vde2', why: 'is the userspace switch the benchmark compares with' },
  { name: 'gcc', why: "compiles the benchmark's TAP holder" },
  { name: 'libc6-dev', why: "compiles the benchmark's TAP holder" },
];

/** Names what could not be installed, one line each. */
export function formatMissing({ name, why }) {
  return `Debian package ${name} is not installed (it ${why})`;
}
