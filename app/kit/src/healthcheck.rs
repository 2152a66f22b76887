//! `healthcheck`: asks the service on this machine whether it is alive, for containers without a shell or `curl`.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The time for each of connecting, sending and receiving.
const PATIENCE: Duration = Duration::from_secs(3);

/// `GET /livez` on `port` of the address the service listens on.
///
/// # Errors
/// Why it is not alive.
pub(crate) fn ask(listens_on: IpAddr, port: u16) -> Result<(), String> {
    let address = SocketAddr::new(reachable(listens_on), port);
    let status = status_line(address).map_err(|error| format!("`http://{address}/livez`: {error}"))?;
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    Err(format!("`http://{address}/livez` answered `{}`", status.trim_end()))
}

/// "All addresses" is where one can listen, not where one can connect to.
fn reachable(listens_on: IpAddr) -> IpAddr {
    match listens_on {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        address => address,
    }
}

fn status_line(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    write!(stream, "GET /livez HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line)?;
    Ok(line)
}
