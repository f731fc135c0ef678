//! What the board and the product are called (Platform Management FRU Information Storage Definition 1.0).

use super::{BmcError, bytes::Bytes, text::field};

/// The most bytes of an inventory area that are read: board and product stand before it ends.
pub const MAX_BYTES: usize = 2_048;

/// Names in an inventory area; empty where it does not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Fru {
    /// Manufacturer of the board.
    pub board_manufacturer: String,
    /// Name of the board.
    pub board_product: String,
    /// Serial number of the board.
    pub board_serial: String,
    /// Manufacturer of the whole product.
    pub manufacturer: String,
    /// Name of the whole product.
    pub product: String,
    /// Serial number of the whole product.
    pub serial: String,
}

impl Fru {
    /// Reads an inventory area from its begin. An area in it whose checksum is wrong or that is cut off is left
    /// out.
    ///
    /// # Errors
    /// [`BmcError::Malformed`] when it does not begin with a common header.
    pub fn parse(bytes: &[u8]) -> Result<Self, BmcError> {
        let header: [u8; 8] = Bytes::new(bytes, "FRU header").array(0)?;
        let [version, _, _, board, product, ..] = header;
        if version & 0x0f != 1 || sum(&header) != 0 {
            return Err(BmcError::Malformed("FRU header"));
        }
        // Before the fields stand version, length and language, and of a board three bytes of its date.
        let board = fields(area(bytes, board), 6);
        let product = fields(area(bytes, product), 3);
        let [board_manufacturer, board_product, board_serial, ..] = board;
        let [manufacturer, name, _, _, serial] = product;
        Ok(Self {
            board_manufacturer,
            board_product,
            board_serial,
            manufacturer,
            product: name,
            serial,
        })
    }
}

/// The area that begins at `offset`, in units of eight bytes; empty where there is none or its sum is not 0.
fn area(bytes: &[u8], offset: u8) -> &[u8] {
    let from = bytes.get(usize::from(offset) * 8..).unwrap_or_default();
    let length = from.get(1).map_or(0, |&length| usize::from(length) * 8);
    let whole = from.get(..length).filter(|area| offset != 0 && sum(area) == 0);
    whole.unwrap_or_default()
}

/// The first five fields of an area.
fn fields(area: &[u8], begin: usize) -> [String; 5] {
    let mut rest = area.get(begin..).unwrap_or_default();
    [(); 5].map(|()| {
        let Some((text, after)) = field(rest) else {
            rest = &[];
            return String::new();
        };
        rest = after;
        text
    })
}

fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "records in tests are short")]
pub(super) mod tests {
    use super::*;

    fn area_of(head: &[u8], names: &[&str]) -> Vec<u8> {
        let mut area = vec![1, 0];
        area.extend(head);
        for name in names {
            area.push(0xc0 | name.len() as u8);
            area.extend(name.bytes());
        }
        area.push(0xc1);
        area.resize((area.len() + 1).next_multiple_of(8), 0);
        area[1] = (area.len() / 8) as u8;
        *area.last_mut().unwrap() = 0_u8.wrapping_sub(sum(&area));
        area
    }

    /// An inventory area with a board and a product.
    pub(crate) fn inventory() -> Vec<u8> {
        let board = area_of(&[25, 1, 2, 3], &["Acme", "Board X", "B-123", "P-1"]);
        let product = area_of(&[25], &["Acme Corp", "Server 1", "PN-9", "v2", "S-777"]);
        let mut header = vec![1, 0, 0, 1, 1 + (board.len() / 8) as u8, 0, 0, 0];
        header[7] = 0_u8.wrapping_sub(sum(&header));
        [header, board, product].concat()
    }

    #[test]
    fn board_and_product_are_named() {
        let fru = Fru::parse(&inventory()).unwrap();
        assert_eq!(
            [&fru.board_manufacturer, &fru.board_product, &fru.board_serial],
            ["Acme", "Board X", "B-123"]
        );
        assert_eq!(
            [&fru.manufacturer, &fru.product, &fru.serial],
            ["Acme Corp", "Server 1", "S-777"]
        );
    }

    #[test]
    fn damage_costs_the_area_it_is_in() {
        let whole = inventory();
        let mut damaged = whole.clone();
        damaged[16] ^= 0xff;
        let fru = Fru::parse(&damaged).unwrap();
        assert_eq!((&*fru.board_product, &*fru.product), ("", "Server 1"));
        for length in 8..whole.len() {
            assert_eq!(Fru::parse(&whole[..length]).unwrap().serial, "", "{length}");
        }
        damaged[0] = 2;
        assert!(Fru::parse(&damaged).is_err());
        assert!(Fru::parse(&[]).is_err());
    }
}
