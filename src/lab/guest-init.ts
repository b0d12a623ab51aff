/**
 * What runs inside a QEMU guest, for busybox's shell. The kernel's own `ip=` handling is not compiled into a cloud
 * kernel (and would come before a modular driver), so the init script reads the same words from the command line
 * (Documentation/admin-guide/nfs/nfsroot.rst): ip=CLIENT:SERVER:GATEWAY:NETMASK:HOSTNAME:DEVICE:AUTOCONF.
 */

/** Printed on the console when the address is set */
export const NETWORK_UP = 'guest: network up';
/** Printed on the console when both services listen */
export const SERVICES_UP = 'guest: services up';

/**
 * Serves command lines from descriptor 3, many at a time. A request is "ID SECONDS BASE64(command)", its answer
 * "ID STATUS BASE64(stdout) BASE64(stderr)", each one line. One process writes the answers, so that they never mix.
 */
export const COMMAND_LOOP = `
jobs=$(mktemp -d)
mkfifo "$jobs/done"
exec 4<>"$jobs/done"
while read -r id status <&4; do
  printf '%s %s ' "$id" "$status" >&3
  base64 -w 0 "$jobs/$id.out" >&3
  printf ' ' >&3
  base64 -w 0 "$jobs/$id.err" >&3
  echo >&3
  rm "$jobs/$id.out" "$jobs/$id.err"
done &
while read -r id seconds command <&3; do
  {
    command=$(echo "$command" | base64 -d)
    timeout -s KILL "$seconds" sh -c "$command" </dev/null >"$jobs/$id.out" 2>"$jobs/$id.err" 3>&- 4>&-
    echo "$id $?" >&4
  } &
done
`;

export const INIT = `#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/
mount -t devtmpfs dev /dev
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t tmpfs -o size=90% tmp /tmp
for module in /modules/*; do insmod "$module"; done

for word in $(cat /proc/cmdline); do
  case $word in ip=*) spec=\${word#ip=} ;; esac
done
IFS=: read -r address server gateway netmask name device autoconf <<END
$spec
END
hostname "$name"
ifconfig lo 127.0.0.1 up
until [ -e "/sys/class/net/$device" ]; do usleep 10000; done
ifconfig "$device" "$address" netmask "$netmask" up
[ -z "$gateway" ] || route add default gw "$gateway"
echo "${NETWORK_UP} $address"

ln -s /tmp /www/desktop/tmp
echo "<!doctype html><title>$name</title><h1>$name</h1><p>$address</p>" >/www/desktop/index.html
echo "{\\"status\\":\\"ok\\",\\"name\\":\\"$name\\",\\"address\\":\\"$address\\"}" >/www/agent/health
httpd -p 6080 -h /www/desktop
httpd -p 8080 -h /www/agent
echo "${SERVICES_UP}"

exec 3<>"$(echo /dev/vport*)"
${COMMAND_LOOP}
`;
