//! Puts services into an order in which each comes after those it needs.

use super::name::ServiceName;
use std::collections::{BTreeMap, BTreeSet};

/// Services in the order of their file, and what each needs; names from elsewhere are passed over.
pub(super) type Needs<'s> = [(&'s ServiceName, &'s [ServiceName])];

/// The order, as indices; services that do not depend on each other keep theirs. The error is a cycle, its first
/// service repeated at its end.
pub(super) fn in_order(services: &Needs<'_>) -> Result<Vec<usize>, Vec<ServiceName>> {
    let index: BTreeMap<&ServiceName, usize> = services.iter().map(|(name, _)| *name).zip(0..).collect();
    let needs: Vec<BTreeSet<usize>> =
        services.iter().map(|(_, needs)| needs.iter().filter_map(|need| index.get(need).copied()).collect()).collect();
    let mut order = Vec::new();
    let mut waiting: BTreeSet<usize> = (0..services.len()).collect();
    while !waiting.is_empty() {
        let free = |at: &usize| waiting.is_disjoint(&needs[*at]);
        let Some(next) = waiting.iter().copied().find(free) else {
            let cycle = cycle_among(&waiting, &needs);
            return Err(cycle.into_iter().map(|at| services[at].0.clone()).collect());
        };
        waiting.remove(&next);
        order.push(next);
    }
    Ok(order)
}

/// A cycle among services each of which needs another of them.
fn cycle_among(waiting: &BTreeSet<usize>, needs: &[BTreeSet<usize>]) -> Vec<usize> {
    let mut path: Vec<usize> = Vec::new();
    let mut next = waiting.first().copied();
    while let Some(at) = next {
        let met = path.iter().position(|earlier| *earlier == at);
        path.push(at);
        if let Some(start) = met {
            return path.split_off(start);
        }
        next = needs[at].intersection(waiting).next().copied();
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(services: &[(&str, &[&str])]) -> Result<String, String> {
        let parse = |name: &&str| name.parse::<ServiceName>().unwrap();
        let owned: Vec<(ServiceName, Vec<ServiceName>)> =
            services.iter().map(|(name, needs)| (parse(name), needs.iter().map(parse).collect())).collect();
        let needs: Vec<_> = owned.iter().map(|(name, needs)| (name, needs.as_slice())).collect();
        let joined = |names: Vec<&ServiceName>| {
            let names: Vec<&str> = names.into_iter().map(ServiceName::as_str).collect();
            names.join(" ")
        };
        match in_order(&needs) {
            Ok(order) => Ok(joined(order.into_iter().map(|at| needs[at].0).collect())),
            Err(cycle) => Err(joined(cycle.iter().collect())),
        }
    }

    #[test]
    fn each_comes_after_those_it_needs_and_else_as_written() {
        assert_eq!(order(&[]), Ok("".to_owned()));
        assert_eq!(order(&[("b", &[]), ("a", &[])]), Ok("b a".to_owned()));
        assert_eq!(order(&[("a", &["c", "b"]), ("b", &["d"]), ("c", &["d"]), ("d", &[])]), Ok("d b c a".to_owned()));
        assert_eq!(order(&[("a", &["elsewhere"])]), Ok("a".to_owned()));
    }

    #[test]
    fn a_cycle_is_named_without_the_way_to_it() {
        assert_eq!(order(&[("a", &["a"])]), Err("a a".to_owned()));
        assert_eq!(order(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]), Err("b c b".to_owned()));
    }

    #[test]
    fn a_service_reached_twice_is_no_cycle() {
        assert_eq!(order(&[("a", &["b", "c"]), ("b", &["c"]), ("c", &[])]), Ok("c b a".to_owned()));
    }
}
