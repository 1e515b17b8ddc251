//! Which node of a Cluster holds which slots.

use std::collections::BTreeMap;

use fred::prelude::Value;

use crate::address::Door;

/// Slots of a Cluster.
const SLOTS: u16 = 16384;

/// The master of every slot, as one node told it, or as redirections told since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SlotMap {
    /// By first slot; up to the last.
    ranges: BTreeMap<u16, (u16, Door)>,
    /// What redirections said; newer than the ranges.
    moved: BTreeMap<u16, Door>,
}

impl SlotMap {
    /// Reads the reply to `CLUSTER SLOTS` of the node behind `asked`. `None` if it names no master at all.
    pub(crate) fn read(reply: Value, asked: &Door) -> Option<Self> {
        let ranges: BTreeMap<_, _> =
            reply.into_array().into_iter().filter_map(|range| read_range(range, asked)).collect();
        (!ranges.is_empty()).then(|| SlotMap { ranges, moved: BTreeMap::new() })
    }

    /// The master of a slot, if any node serves it.
    pub(crate) fn door(&self, slot: u16) -> Option<&Door> {
        self.moved.get(&slot).or_else(|| {
            let (_, (last, door)) = self.ranges.range(..=slot).next_back()?;
            (slot <= *last).then_some(door)
        })
    }

    /// Remembers what a redirection said.
    pub(crate) fn moved(&mut self, slot: u16, door: Door) {
        self.moved.insert(slot, door);
    }

    /// Every master, once.
    pub(crate) fn doors(&self) -> Vec<Door> {
        let mut doors: Vec<_> =
            self.ranges.values().map(|(_, door)| door).chain(self.moved.values()).cloned().collect();
        doors.sort();
        doors.dedup();
        doors
    }
}

fn read_range(range: Value, asked: &Door) -> Option<(u16, (u16, Door))> {
    let mut parts = range.into_array().into_iter();
    let mut number = || parts.next().and_then(|part| part.as_u64()).and_then(|slot| u16::try_from(slot).ok());
    let (first, last) = (number()?, number()?);
    let mut master = parts.next()?.into_array().into_iter();
    let host = master.next()?.into_string().unwrap_or_default();
    let port = master.next()?.as_u64().and_then(|port| u16::try_from(port).ok())?;
    (last < SLOTS).then_some((first, (last, door_of(&host, port, asked))))
}

/// A node that does not know its own address says nothing, or "?": it is the one that was asked.
fn door_of(host: &str, port: u16, asked: &Door) -> Door {
    let host = match asked {
        Door::Tcp { host: asked, .. } if host.is_empty() || host == "?" => asked,
        _ => host,
    };
    Door::Tcp { host: host.to_owned(), port }
}

/// Where to go on, said by an error.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Redirection {
    /// The slot lives there from now on.
    Moved(u16, Door),
    /// This once: the slot is on its way there.
    Ask(Door),
}

impl Redirection {
    /// Reads `MOVED <slot> <host>:<port>` and `ASK <slot> <host>:<port>`.
    pub(crate) fn read(error: &str, asked: &Door) -> Option<Self> {
        let mut words = error.split_whitespace();
        let kind = words.next()?;
        let slot = words.next()?.parse().ok()?;
        let (host, port) = words.next()?.rsplit_once(':')?;
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let door = door_of(host, port.parse().ok()?, asked);
        match kind {
            "MOVED" => Some(Redirection::Moved(slot, door)),
            "ASK" => Some(Redirection::Ask(door)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(host: &str, port: u16) -> Door {
        Door::Tcp { host: host.into(), port }
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
        let mut map = SlotMap::read(reply, &door("asked", 7)).expect("two ranges");
        assert_eq!(map.door(0), Some(&door("a", 1)));
        assert_eq!(map.door(99), Some(&door("a", 1)));
        assert_eq!(map.door(100), None);
        assert_eq!(map.door(250), Some(&door("asked", 2)));
        map.moved(250, door("b", 3));
        assert_eq!(map.door(250), Some(&door("b", 3)));
        assert_eq!(map.doors().len(), 3);
        assert_eq!(SlotMap::read(Value::Array(Vec::new()), &door("asked", 7)), None);
    }

    #[test]
    fn redirections_are_read_whatever_the_host_looks_like() {
        let asked = door("asked", 7);
        let read = |text| Redirection::read(text, &asked);
        assert_eq!(
            read("MOVED 3999 127.0.0.1:6381"),
            Some(Redirection::Moved(3999, door("127.0.0.1", 6381)))
        );
        assert_eq!(read("ASK 1 ::1:6381"), Some(Redirection::Ask(door("::1", 6381))));
        assert_eq!(read("MOVED 1 :6381"), Some(Redirection::Moved(1, door("asked", 6381))));
        assert_eq!(read("NOSCRIPT No matching script"), None);
        assert_eq!(read("MOVED"), None);
    }
}
