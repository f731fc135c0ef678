//! The configuration space of a PCI function: its header, and where its capabilities are. Pure.
//!
//! Sources: PCI Local Bus 3.0, 6.1 and 6.7; PCI Express 5.0, 7.5 and 7.6. A list of capabilities that loops, points
//! outside or is cut short ends there: what was found before counts.

/// Where registers are read from.
pub(super) trait Space {
    /// The 32 bits at `at`, a multiple of 4; `None` past the end, or where reading fails.
    fn dword(&self, at: u16) -> Option<u32>;

    /// The 16 bits at `at`, a multiple of 2.
    fn word(&self, at: u16) -> Option<u16> {
        let [a, b, c, d] = self.dword(at & !3)?.to_le_bytes();
        Some(u16::from_le_bytes(if at & 2 == 0 { [a, b] } else { [c, d] }))
    }

    /// The 8 bits at `at`.
    fn byte(&self, at: u16) -> Option<u8> {
        let [low, high] = self.word(at & !1)?.to_le_bytes();
        Some(if at & 1 == 0 { low } else { high })
    }
}

/// A dump: 64, 256 or 4,096 bytes.
impl Space for [u8] {
    fn dword(&self, at: u16) -> Option<u32> {
        let bytes = self.get(usize::from(at)..)?.first_chunk::<4>()?;
        Some(u32::from_le_bytes(*bytes))
    }
}

/// The first 64 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// 00h.
    pub(super) vendor: u16,
    /// 02h.
    pub(super) device: u16,
    /// 06h.
    pub(super) status: u16,
    /// Status of the bus behind a bridge.
    pub(super) secondary_status: Option<u16>,
    /// 08h.
    pub(super) revision: u8,
    /// 09h: class, subclass and programming interface, 24 bits.
    pub(super) class: u32,
    /// 0Eh without the bit for many functions.
    pub(super) layout: Layout,
}

/// What bytes 10h to 3Fh mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Type 0.
    Endpoint,
    /// Type 1.
    Bridge,
    /// Type 2.
    CardBus,
    /// None of them: nothing is read there.
    Other,
}

impl Header {
    /// `None` when there is no answer: then all bits are ones.
    pub(super) fn read(space: &(impl Space + ?Sized)) -> Option<Self> {
        let vendor = space.word(0x00).filter(|&vendor| vendor != 0xffff)?;
        let device = space.word(0x02)?;
        let status = space.word(0x06)?;
        let [revision, class @ ..] = space.dword(0x08)?.to_le_bytes();
        let [a, b, c] = class;
        let layout = match space.byte(0x0e)? & 0x7f {
            0 => Layout::Endpoint,
            1 => Layout::Bridge,
            2 => Layout::CardBus,
            _ => Layout::Other,
        };
        Some(Self {
            vendor,
            device,
            status,
            secondary_status: match layout {
                Layout::Bridge => space.word(0x1e),
                Layout::CardBus => space.word(0x16),
                Layout::Endpoint | Layout::Other => None,
            },
            revision,
            class: u32::from_le_bytes([a, b, c, 0]),
            layout,
        })
    }
}

/// Where the capabilities are that are read; of several of one kind, the first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// 01h: power management.
    pub(super) power: Option<u16>,
    /// 0Dh: subsystem of a bridge.
    pub(super) subsystem: Option<u16>,
    /// 10h: Express.
    pub(super) express: Option<u16>,
    /// 0001h: advanced error reporting.
    pub(super) aer: Option<u16>,
    /// 0010h: single root I/O virtualisation.
    pub(super) sriov: Option<u16>,
    /// 001Dh: downstream port containment.
    pub(super) dpc: Option<u16>,
}

impl Capabilities {
    /// Walks both lists.
    pub(super) fn find(space: &(impl Space + ?Sized), header: &Header) -> Self {
        let mut found = Self::default();
        for (at, id) in Standard::new(space, header) {
            let place = match id {
                0x01 => &mut found.power,
                0x0d => &mut found.subsystem,
                0x10 => &mut found.express,
                _ => continue,
            };
            place.get_or_insert(at);
        }
        // Without Express, what is past 256 bytes may be anything: some bridges show the header again.
        if found.express.is_some() {
            found.find_extended(space);
        }
        found
    }

    fn find_extended(&mut self, space: &(impl Space + ?Sized)) {
        for (at, id) in Extended::new(space) {
            let place = match id {
                0x0001 => &mut self.aer,
                0x0010 => &mut self.sriov,
                0x001d => &mut self.dpc,
                _ => continue,
            };
            place.get_or_insert(at);
        }
    }
}

/// The list in the first 256 bytes: offsets and ids.
struct Standard<'a, S: ?Sized> {
    space: &'a S,
    next: u16,
    /// One bit for each multiple of 4.
    seen: u64,
}

impl<'a, S: Space + ?Sized> Standard<'a, S> {
    fn new(space: &'a S, header: &Header) -> Self {
        const HAS_LIST: u16 = 1 << 4;
        let pointer = match header.layout {
            _ if header.status & HAS_LIST == 0 => None,
            Layout::CardBus => space.byte(0x14),
            Layout::Endpoint | Layout::Bridge => space.byte(0x34),
            Layout::Other => None,
        };
        Self {
            space,
            next: pointer.unwrap_or(0).into(),
            seen: 0,
        }
    }
}

impl<S: Space + ?Sized> Iterator for Standard<'_, S> {
    type Item = (u16, u8);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.next & 0xfc;
        let bit = 1_u64 << (at / 4);
        if at < 0x40 || self.seen & bit != 0 {
            return None;
        }
        self.seen |= bit;
        let [id, next] = self.space.word(at)?.to_le_bytes();
        self.next = next.into();
        (id != 0xff).then_some((at, id))
    }
}

/// The list past 256 bytes: offsets and ids.
struct Extended<'a, S: ?Sized> {
    space: &'a S,
    next: u16,
    left: u32,
}

impl<'a, S: Space + ?Sized> Extended<'a, S> {
    /// Entries that fit when none overlaps another: a list that loops ends with them.
    const MOST: u32 = (4_096 - 256) / 8;

    fn new(space: &'a S) -> Self {
        Self {
            space,
            next: 0x100,
            left: Self::MOST,
        }
    }
}

impl<S: Space + ?Sized> Iterator for Extended<'_, S> {
    type Item = (u16, u16);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.next & 0xffc;
        if at < 0x100 {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let header = self.space.dword(at).filter(|&h| h != 0 && h != u32::MAX)?;
        let [a, b, c, d] = header.to_le_bytes();
        self.next = u16::from_le_bytes([c, d]) >> 4;
        Some((at, u16::from_le_bytes([a, b])))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::probe::pci::fixture::Dump;

    fn found(dump: &Dump) -> Capabilities {
        let bytes: &[u8] = dump.bytes();
        Capabilities::find(bytes, &Header::read(bytes).unwrap())
    }

    #[test]
    fn both_lists_are_walked() {
        let dump = Dump::endpoint()
            .standard(0x40, 0x01, 0x50)
            .standard(0x50, 0x10, 0x00)
            .extended(0x100, 0x0001, 0x150)
            .extended(0x150, 0x0010, 0x000);
        let all = Capabilities {
            power: Some(0x40),
            express: Some(0x50),
            aer: Some(0x100),
            sriov: Some(0x150),
            ..Capabilities::default()
        };
        assert_eq!(found(&dump), all);
        let short: &[u8] = &dump.bytes()[..256];
        let header = Header::read(short).unwrap();
        assert_eq!(Capabilities::find(short, &header).aer, None);
        let header_alone = Capabilities::find(&short[..64], &header);
        assert_eq!(header_alone, Capabilities::default(), "all that an ordinary user sees");
    }

    #[test]
    fn lists_that_loop_or_lie_end() {
        let looping = Dump::endpoint().standard(0x40, 0x10, 0x50).standard(0x50, 0x01, 0x40);
        assert_eq!(found(&looping).power, Some(0x50));
        let own = Dump::endpoint()
            .standard(0x40, 0x10, 0x40)
            .extended(0x100, 0x0001, 0x100);
        assert_eq!(found(&own).aer, Some(0x100));
        let header = Dump::endpoint()
            .standard(0x40, 0x10, 0x08)
            .extended(0x100, 0x001d, 0x004);
        assert_eq!(found(&header).dpc, Some(0x100));
        let conventional = Dump::endpoint().standard(0x40, 0x01, 0).extended(0x100, 0x0001, 0);
        assert_eq!(found(&conventional).aer, None);
    }

    #[test]
    fn a_function_that_does_not_answer_is_none() {
        assert_eq!(Header::read(&[0xff; 256][..]), None);
        assert_eq!(Header::read(&[][..]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in prop::collection::vec(any::<u8>(), 0..4_096)) {
            if let Some(header) = Header::read(&*bytes) {
                Capabilities::find(&*bytes, &header);
            }
        }
    }
}
