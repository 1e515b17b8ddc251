//! Which node of a Cluster holds which slots.

use std::collections::BTreeMap;

use fred::prelude::Value;

use crate::address::Endpoint;

/// Slots of a Cluster.
const SLOTS: u16 = 16384;

/// The master of every slot, as one node told it, or as redirections told since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// By first slot; up to the last.
    ranges: BTreeMap<u16, (u16, Endpoint)>,
    /// What redirections said; newer than the ranges.
    moved: BTreeMap<u16, Endpoint>,
}

impl SlotMap {
    /// Reads the reply to `CLUSTER SLOTS` of the node behind `asked`. `None` if it names no master at all.
    pub(crate) fn read(reply: Value, asked: &Endpoint) -> Option<Self> {
        let ranges: BTreeMap<_, _> =
            reply.into_array().into_iter().filter_map(|range| read_range(range, asked)).collect();
        (!ranges.is_empty()).then(|| SlotMap { ranges, moved: BTreeMap::new() })
    }

    /// The master of a slot, if any node serves it.
    pub(crate) fn endpoint(&self, slot: u16) -> Option<&Endpoint> {
        self.moved.get(&slot).or_else(|| {
            let (_, (last, endpoint)) = self.ranges.range(..=slot).next_back()?;
            (slot <= *last).then_some(endpoint)
        })
    }

    /// Remembers what a redirection said.
    pub(crate) fn moved(&mut self, slot: u16, endpoint: Endpoint) {
        self.moved.insert(slot, endpoint);
    }

    /// Every master, once.
    pub(crate) fn endpoints(&self) -> Vec<Endpoint> {
        let mut endpoints: Vec<_> =
            self.ranges.values().map(|(_, endpoint)| endpoint).chain(self.moved.values()).cloned().collect();
        endpoints.sort();
        endpoints.dedup();
        endpoints
    }
}

fn read_range(range: Value, asked: &Endpoint) -> Option<(u16, (u16, Endpoint))> {
    let mut parts = range.into_array().into_iter();
    let mut number = || parts.next().and_then(|part| part.as_u64()).and_then(|slot| u16::try_from(slot).ok());
    let (first, last) = (number()?, number()?);
    let mut master = parts.next()?.into_array().into_iter();
    let host = master.next()?.into_string().unwrap_or_default();
    let port = master.next()?.as_u64().and_then(|port| u16::try_from(port).ok())?;
    (last < SLOTS).then_some((first, (last, endpoint_of(&host, port, asked))))
}

/// A node that does not know its own address says nothing, or "?": it is the one that was asked.
fn endpoint_of(host: &str, port: u16, asked: &Endpoint) -> Endpoint {
    let host = match asked {
        Endpoint::Tcp { host: asked, .. } if host.is_empty() || host == "?" => asked,
        _ => host,
    };
    Endpoint::Tcp { host: host.to_owned(), port }
}

/// Where to go on, said by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirection {
    /// The slot lives there from now on.
    Moved(u16, Endpoint),
    /// This once: the slot is on its way there.
    Ask(Endpoint),
}

impl Redirection {
    /// Reads `MOVED <slot> <host>:<port>` and `ASK <slot> <host>:<port>`.
    pub(crate) fn read(error: &str, asked: &Endpoint) -> Option<Self> {
        let mut words = error.split_whitespace();
        let kind = words.next()?;
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let endpoint = endpoint_of(host, port.parse().ok()?, asked);
        match kind {
            "MOVED" => Some(Redirection::Moved(slot, endpoint)),
            "ASK" => Some(Redirection::Ask(endpoint)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(host: &str, port: u16) -> Endpoint {
        Endpoint::Tcp { host: host.into(), port }
    }

    fn array<const N: usize>(parts: [Value; N]) -> Value {
        Value::Array(parts.into())
    }

    #[test]
    fn a_slot_map_names_the_master_of_every_slot_that_is_served() {
        let node = |host: &str, port: i64| array([host.into(), port.into(), "id".into()]);
        let reply = array([
            array([0.into(), 99.into(), node("a", 1), node("replica", 9)]),
            array([200.into(), 300.into(), node("", 2)]),
        ]);
        let mut map = SlotMap::read(reply, &endpoint("asked", 7)).expect("two ranges");
        assert_eq!(map.endpoint(0), Some(&endpoint("a", 1)));
        assert_eq!(map.endpoint(99), Some(&endpoint("a", 1)));
        assert_eq!(map.endpoint(100), None);
        assert_eq!(map.endpoint(250), Some(&endpoint("asked", 2)));
        map.moved(250, endpoint("b", 3));
        assert_eq!(map.endpoint(250), Some(&endpoint("b", 3)));
        assert_eq!(map.endpoints().len(), 3);
        assert_eq!(SlotMap::read(Value::Array(Vec::new()), &endpoint("asked", 7)), None);
    }

    #[test]
    fn redirections_are_read_whatever_the_host_looks_like() {
        let asked = endpoint("asked", 7);
        let read = |text| Redirection::read(text, &asked);
        assert_eq!(
            read("MOVED 3999 127.0.0.1:6381"),
            Some(Redirection::Moved(3999, endpoint("127.0.0.1", 6381)))
        );
        assert_eq!(read("ASK 1 ::1:6381"), Some(Redirection::Ask(endpoint("::1", 6381))));
        assert_eq!(read("MOVED 1 :6381"), Some(Redirection::Moved(1, endpoint("asked", 6381))));
        assert_eq!(read("NOSCRIPT No matching script"), None);
        assert_eq!(read("MOVED"), None);
    }
}
