//! The addresses that must not change, as this machine's kernel knows them.
//!
//! A container with such an address announces its hardware address when it starts. Now and then that announcement is lost,
//! and the kernel sends to the container before for half a minute. One that takes over what the kernel knows is reached
//! at once.

/// What the kernel knows of its neighbors; nothing where there is no such file.
const TABLE: &str = "/proc/net/arp";

/// The arguments of an engine, those like `NETWORK:ip=ADDRESS,mac=ADDRESS` with the hardware address that the kernel has.
pub(super) fn as_known(args: Vec<String>) -> Vec<String> {
    let table = std::fs::read_to_string(TABLE).unwrap_or_default();
    args.into_iter().map(|arg| known(&arg, &table).unwrap_or(arg)).collect()
}

fn known(arg: &str, table: &str) -> Option<String> {
    let (network, fixed) = arg.split_once(":ip=")?;
    let (address, _) = fixed.split_once(",mac=")?;
    Some(format!("{network}:ip={address},mac={}", hardware(table, address)?))
}

fn hardware<'t>(table: &'t str, address: &str) -> Option<&'t str> {
    table.lines().find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [of, _, flags, hardware, ..] = fields[..] else { return None };
        // Without flags nobody has answered.
        (of == address && flags != "0x0").then_some(hardware)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hardware_address_that_is_known_is_taken_over() {
        let table = "IP address       HW type     Flags       HW address            Mask     Device\n\
                     10.89.0.25       0x1         0x2         0a:69:ee:53:e3:23     *        podman1\n\
                     10.89.0.26       0x1         0x0         00:00:00:00:00:00     *        podman1\n";
        let wanted = "net:ip=10.89.0.25,mac=0a:69:ee:53:e3:23";
        assert_eq!(known("net:ip=10.89.0.25,mac=02:42:0a:59:00:19", table).as_deref(), Some(wanted));
        for other in ["net:ip=10.89.0.26,mac=02:42:0a:59:00:1a", "net:ip=10.89.0.2,mac=1", "name=net,ip=10.89.0.25"] {
            assert_eq!(known(other, table), None);
        }
    }
}
