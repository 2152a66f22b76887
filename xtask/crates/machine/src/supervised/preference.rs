//! Which port each service gets where the declared ones are only preferred. Pure: what is taken is asked of the caller.

use super::addresses::Addresses;
use model::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

/// Ports below are only for those who may take them, and from this one on the system gives them to whoever connects.
const FIRST: u16 = 1024;
const LAST: u16 = 32_767;
/// In place of a low port comes one that can be told from it: 8080 for 80.
const LOW: u16 = 8000;
/// How many neighbors of a declared port are tried.
const NEIGHBORS: u16 = 500;

/// A service as this choice sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) service: ServiceName,
    /// Where it is to listen.
    pub(super) ip: IpAddr,
    pub(super) declared: u16,
    /// It is taken by datagrams.
    pub(super) of_datagrams: bool,
    /// The port that it had last.
    pub(super) recorded: Option<u16>,
    /// Where it serves now.
    pub(super) serving: Option<SocketAddr>,
    /// Another port is declared than when it was started.
    pub(super) redeclared: bool,
    /// It ends in this run, and gives its port up.
    pub(super) ends: bool,
}

impl Wish {
    /// Where one that serves is to serve instead: nobody moves without being told to.
    fn target(&self) -> Option<SocketAddr> {
        let serving = self.serving.filter(|_| !self.ends)?;
        let port = if self.redeclared { self.declared } else { serving.port() };
        Some(SocketAddr::new(self.ip, port)).filter(|target| *target != serving)
    }

    /// The ports that it would take, the best first.
    fn candidates(&self) -> impl Iterator<Item = u16> {
        let first = if self.declared < FIRST { self.declared + LOW } else { self.declared.saturating_add(1) };
        let neighbors = (first..=LAST).take(NEIGHBORS.into());
        (self.declared != 0).then_some(self.declared).into_iter().chain(self.recorded).chain(neighbors)
    }
}

/// An address for each, those first that come first. `taken` says whether somebody else has an address. One for whom
/// nothing is found has none.
pub(super) fn prefer(wishes: &[Wish], taken: &dyn Fn(&Wish, SocketAddr) -> bool) -> Addresses {
    let movers = movers(wishes, taken);
    let mut chosen: Addresses = movers.iter().map(|(service, target)| ((*service).clone(), *target)).collect();
    let (mut used, mut open) = (ports(movers.values()), Vec::new());
    for wish in wishes.iter().filter(|wish| !movers.contains_key(&wish.service)) {
        match wish.serving {
            // Another address of this machine is asked for, and its port cannot be had there.
            Some(serving) if !wish.ends && serving.ip() != wish.ip => open.push(wish),
            Some(serving) => {
                if !wish.ends {
                    used.insert(serving.port());
                }
                chosen.insert(wish.service.clone(), serving);
            }
            None => open.push(wish),
        }
    }
    // What others declare is theirs as long as there is anything else.
    let declared: BTreeSet<u16> = wishes.iter().map(|wish| wish.declared).collect();
    for wish in open {
        let own = |port: &u16| *port == wish.declared || Some(*port) == wish.recorded || !declared.contains(port);
        let free = |port: &u16| !used.contains(port) && !taken(wish, SocketAddr::new(wish.ip, *port));
        if let Some(port) = wish.candidates().filter(own).find(free) {
            used.insert(port);
            chosen.insert(wish.service.clone(), SocketAddr::new(wish.ip, port));
        }
    }
    chosen
}

/// Those that serve and go elsewhere. One whose port another keeps stays, and with it whoever wanted its own.
fn movers<'w>(wishes: &'w [Wish], taken: &dyn Fn(&Wish, SocketAddr) -> bool) -> BTreeMap<&'w ServiceName, SocketAddr> {
    let mover = |wish: &'w Wish| {
        let target = wish.target().filter(|target| !taken(wish, *target))?;
        Some((&wish.service, target))
    };
    let mut movers: BTreeMap<&ServiceName, SocketAddr> = wishes.iter().filter_map(mover).collect();
    loop {
        let stays = |wish: &&Wish| !wish.ends && !movers.contains_key(&wish.service);
        let mut used = ports(wishes.iter().filter(stays).filter_map(|wish| wish.serving.as_ref()));
        let Some(blocked) = movers.iter().find(|(_, target)| !used.insert(target.port())).map(|(name, _)| *name) else {
            return movers;
        };
        movers.remove(blocked);
    }
}

fn ports<'a>(addresses: impl Iterator<Item = &'a SocketAddr>) -> BTreeSet<u16> {
    addresses.map(SocketAddr::port).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wish(name: &str, declared: u16) -> Wish {
        let (service, ip) = (name.parse().unwrap(), [127, 0, 0, 1].into());
        Wish {
            service,
            ip,
            declared,
            of_datagrams: false,
            recorded: None,
            serving: None,
            redeclared: false,
            ends: false,
        }
    }

    fn serving(name: &str, declared: u16, port: u16) -> Wish {
        Wish { serving: Some(([127, 0, 0, 1], port).into()), ..wish(name, declared) }
    }

    /// "NAME PORT" of each.
    fn chosen(wishes: &[Wish], taken: &[u16]) -> Vec<String> {
        let chosen = prefer(wishes, &|_, address| taken.contains(&address.port()));
        chosen.iter().map(|(name, address)| format!("{name} {}", address.port())).collect()
    }

    #[test]
    fn one_that_starts_gets_its_own_port_then_its_last_then_any() {
        let again = Wish { recorded: Some(9000), ..wish("a", 1337) };
        assert_eq!(chosen(std::slice::from_ref(&again), &[]), ["a 1337"]);
        assert_eq!(chosen(std::slice::from_ref(&again), &[1337]), ["a 9000"]);
        assert_eq!(chosen(&[again], &[1337, 9000]), ["a 1338"]);
        assert_eq!(chosen(&[wish("a", 80)], &[80]), ["a 8080"]);
        assert_eq!(chosen(&[wish("a", 50_000)], &[50_000]), [""; 0]);
    }

    #[test]
    fn one_that_runs_never_moves_by_itself() {
        assert_eq!(chosen(&[serving("a", 1337, 9000)], &[]), ["a 9000"]);
        assert_eq!(chosen(&[serving("a", 1337, 1337)], &[]), ["a 1337"]);
        let told = Wish { redeclared: true, ..serving("a", 1400, 1337) };
        assert_eq!(chosen(std::slice::from_ref(&told), &[]), ["a 1400"]);
        assert_eq!(chosen(&[told], &[1400]), ["a 1337"], "better there than nowhere");
    }

    #[test]
    fn of_two_that_want_one_port_the_first_gets_it() {
        assert_eq!(chosen(&[wish("b", 80), wish("a", 80)], &[]), ["a 8080", "b 80"]);
        assert_eq!(chosen(&[wish("a", 1337), serving("b", 1337, 1337)], &[]), ["a 1338", "b 1337"]);
        // What a third declares is left to it.
        assert_eq!(chosen(&[wish("a", 80), wish("b", 8080)], &[80]), ["a 8081", "b 8080"]);
    }

    #[test]
    fn what_ends_in_this_run_gives_its_port_up() {
        let ends = Wish { ends: true, ..serving("old", 1337, 1337) };
        assert_eq!(chosen(&[wish("new", 1337), ends], &[]), ["new 1337", "old 1337"]);
    }

    #[test]
    fn services_trade_ports_or_stay_together() {
        let told = |name: &str, declared, port| Wish { redeclared: true, ..serving(name, declared, port) };
        let trade = [told("a", 2000, 1000), told("b", 3000, 2000), told("c", 1000, 3000)];
        assert_eq!(chosen(&trade, &[]), ["a 2000", "b 3000", "c 1000"]);
        let chain = [told("a", 2000, 1000), told("b", 3000, 2000), serving("c", 3000, 3000)];
        assert_eq!(chosen(&chain, &[]), ["a 1000", "b 2000", "c 3000"]);
    }

    #[test]
    fn another_address_of_the_machine_is_gone_to_with_the_same_port_where_that_is_free() {
        let elsewhere = Wish { ip: [127, 0, 0, 2].into(), ..serving("a", 1337, 9000) };
        assert_eq!(
            prefer(std::slice::from_ref(&elsewhere), &|_, _| false)[&elsewhere.service].to_string(),
            "127.0.0.2:9000"
        );
        let taken = |_: &Wish, address: SocketAddr| address.port() == 9000;
        assert_eq!(prefer(std::slice::from_ref(&elsewhere), &taken)[&elsewhere.service].to_string(), "127.0.0.2:1337");
    }
}
