//! A CSV of a series, and of all metrics of a host: a row a row, with numbers, or a fault.
#![no_main]

use anomaly::table::{self, Columns, Detector, How};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| limits::in_time(|| {
    let mut scored = Vec::new();
    let how = How {
        detector: Detector::StatesAndDays,
        columns: Columns::ScoreAndPoints,
    };
    if let Ok(told) = table::detect(bytes, &mut scored, how) {
        // What was scored is read again, with as many rows.
        let again = table::detect(&*scored, std::io::sink(), How::default()).expect("it was read before");
        assert_eq!(again.rows, told.rows);
    }
    let mut scored = Vec::new();
    table::host::write_header(&mut scored).expect("memory takes all");
    if let Ok(rows) = table::host::detect(bytes, &mut scored, "web-1") {
        // The scores of a host are rows of two metrics themselves: its name is no number.
        let text = String::from_utf8_lossy(&scored).replace("web-1,", "1,");
        assert_eq!(table::host::detect(text.as_bytes(), std::io::sink(), "web-1").ok(), Some(rows));
    }
}));
