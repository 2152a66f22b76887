//! The ports of this machine: whether somebody has one, and by which addresses people come to it.

use crate::random;
use std::io::{Error, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// Where free ports are looked for, and how often before the system is left to choose.
const FIRST_PORT: u16 = 10_000;
const LAST_PORT: u16 = 32_767;
const ATTEMPTS: u32 = 100;
/// How long somebody on this machine may take to accept a connection.
const WITHIN: Duration = Duration::from_millis(300);

/// A listener's own address, and the two that `localhost` stands for: whoever has one of those is taken for it.
pub fn entries(listen: SocketAddr) -> impl Iterator<Item = SocketAddr> {
    let loopback = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
    let others = loopback.into_iter().filter(move |ip| *ip != listen.ip());
    std::iter::once(listen).chain(others.map(move |ip| SocketAddr::new(ip, listen.port())))
}

/// Whether anybody listens. A listener that is too busy to accept does. Nothing is bound to find out, which whoever is
/// just starting there would be refused for.
pub fn answers(address: SocketAddr) -> bool {
    let ip = match address.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    match TcpStream::connect_timeout(&SocketAddr::new(ip, address.port()), WITHIN) {
        Ok(_) => true,
        Err(error) => error.kind() == ErrorKind::TimedOut,
    }
}

/// Why an address cannot be listened on now; `None` when it can. On some systems a listener on one address does not keep
/// others from listening on all of them, so somebody who answers counts, too.
pub fn refusal(address: SocketAddr) -> Option<Error> {
    match TcpListener::bind(address) {
        Err(error) => Some(error),
        Ok(listener) => {
            drop(listener);
            (cfg!(target_os = "macos") && answers(address)).then(|| ErrorKind::AddrInUse.into())
        }
    }
}

/// The same of datagrams, which are had apart from connections at the same number.
pub fn refusal_of_datagrams(address: SocketAddr) -> Option<Error> {
    UdpSocket::bind(address).err()
}

/// A port that nothing listens on, below those that systems hand out by themselves (Linux from 32768 on): between the
/// choice and the start of what is to listen there, any connection could be given one of these.
///
/// # Errors
/// When the system has no port to give.
pub fn free(ip: IpAddr) -> std::io::Result<TcpListener> {
    // Whoever has it elsewhere would be taken for what is to listen there.
    let elsewhere = |port| entries(SocketAddr::new(ip, port)).skip(1).any(answers);
    let found = some_ports().find_map(|port| TcpListener::bind((ip, port)).ok().filter(|_| !elsewhere(port)));
    found.map_or_else(|| TcpListener::bind((ip, 0)), Ok)
}

/// The same for datagrams.
///
/// # Errors
/// When the system has no port to give.
pub fn free_for_datagrams(ip: IpAddr) -> std::io::Result<UdpSocket> {
    let found = some_ports().find_map(|port| UdpSocket::bind((ip, port)).ok());
    found.map_or_else(|| UdpSocket::bind((ip, 0)), Ok)
}

fn some_ports() -> impl Iterator<Item = u16> {
    let port = |bytes| FIRST_PORT + u16::from_ne_bytes(bytes) % (LAST_PORT - FIRST_PORT);
    (0..ATTEMPTS).map_while(move |_| random::bytes().ok().map(port))
}

/// Whether this machine has an address that services are to listen on.
pub fn has_address(ip: IpAddr) -> bool {
    !TcpListener::bind((ip, 0)).is_err_and(|error| error.kind() == ErrorKind::AddrNotAvailable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_reached_by_its_own_address_and_by_those_of_localhost() {
        let all = |address: &str| entries(address.parse().unwrap()).map(|at| at.to_string()).collect::<Vec<_>>();
        assert_eq!(all("127.0.0.1:80"), ["127.0.0.1:80", "[::1]:80"]);
        assert_eq!(all("[::1]:80"), ["[::1]:80", "127.0.0.1:80"]);
        assert_eq!(all("10.1.2.3:80"), ["10.1.2.3:80", "127.0.0.1:80", "[::1]:80"]);
    }

    #[test]
    fn whoever_listens_is_seen_and_gone_with_its_socket() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let everywhere = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port());
        assert!(answers(address) && answers(everywhere));
        assert_eq!(refusal(address).map(|error| error.kind()), Some(ErrorKind::AddrInUse));
        drop(listener);
        assert!(!answers(address) && !answers(everywhere) && refusal(address).is_none());
    }

    #[test]
    fn datagrams_have_ports_of_their_own() {
        let socket = free_for_datagrams(Ipv4Addr::LOCALHOST.into()).unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(refusal_of_datagrams(address).map(|error| error.kind()), Some(ErrorKind::AddrInUse));
        assert!(refusal(address).is_none());
        drop(socket);
        assert!(refusal_of_datagrams(address).is_none());
    }

    #[test]
    fn an_address_of_a_documentation_network_is_not_of_this_machine() {
        assert!(has_address(IpAddr::V4(Ipv4Addr::LOCALHOST)) && has_address(IpAddr::V4(Ipv4Addr::UNSPECIFIED)));
        assert!(!has_address(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1))));
    }
}
