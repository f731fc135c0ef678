use proptest::prelude::*;

use super::*;

fn how(columns: Columns) -> How {
    How {
        columns,
        ..How::default()
    }
}

fn scored(text: &[u8], columns: Columns) -> Result<(Told, String), TableError> {
    let mut output = Vec::new();
    let told = detect(text, &mut output, how(columns))?;
    Ok((told, String::from_utf8_lossy(&output).into_owned()))
}

#[test]
fn every_row_comes_back_with_a_score() {
    let text = "note,timestamp,value\n\"a, b\",1,0.10\n,2,1e3\nx,3,-7\n";
    let (told, output) = scored(text.as_bytes(), Columns::ScoreAndPoints).unwrap();
    assert_eq!(
        output,
        "note,timestamp,value,anomaly_score,raw_score\n\"a, b\",1,0.10,0.0,0.0000\n,2,1e3,0.0,0.0000\nx,3,-7,0.0,0.0000\n"
    );
    assert_eq!(
        told,
        Told {
            rows: 3,
            ..Told::default()
        }
    );
}

#[test]
fn alarms_are_told_and_counted() {
    let value = |row: u32| if row < 1_900 { row % 5 } else { 100 };
    let rows = (0..2_000).map(|row| format!("{row},{}\n", value(row)));
    let text = format!("timestamp,value\n{}", rows.collect::<Vec<_>>().concat());
    let (told, output) = scored(text.as_bytes(), Columns::Score).unwrap();
    let scores = output
        .lines()
        .skip(1)
        .map(|line| line.split(',').nth(2).unwrap().parse().unwrap());
    let scores: Vec<f64> = scores.collect();
    assert_eq!((told.rows, scores.len()), (2_000, 2_000));
    let alarms = scores.iter().filter(|score| **score >= 0.24).count();
    assert!((1..=4).contains(&alarms), "{alarms}");
    assert_eq!(told.alarms, alarms as u64);
    assert!(scores[..1_900].iter().all(|score| *score < 0.24));
}

#[test]
fn missing_readings_are_no_fault() {
    let text = "timestamp,value\n1,5\n2,\n3,nan\n4,NA\n5, NaN \n6,null\n7,inf\n8,-Infinity\n9,None\n";
    let (told, output) = scored(text.as_bytes(), Columns::Score).unwrap();
    assert_eq!((told.rows, told.missing, told.alarms), (9, 8, 0));
    assert!(output.contains("\n5, NaN ,0.0\n"), "{output}");
}

#[test]
fn faults_name_line_and_column() {
    for (text, expected) in [
        ("", "it is empty"),
        ("\n\n", "it is empty"),
        ("time,value\n1,2\n", "line 1: there is no column called timestamp"),
        ("timestamp,cpu\n1,2\n", "line 1: there is no column called value"),
        (
            "timestamp,value\n1,2\n2,abc\n",
            "line 3, column value: \"abc\" is not a number",
        ),
        ("timestamp,value\r\n1,2\r\n2,1.2.3\r\n", "line 3, column value"),
        ("timestamp,value\n\"1\n\",2\n2,1.2.3", "line 4, column value"),
        ("timestamp,value\n1,2\n\n2,1.2.3", "line 4, column value"),
        (
            "timestamp,value\n1,2\n2\n",
            "line 3: it has 1 fields, and the header has 2",
        ),
        ("timestamp,value\n1,2\n2,3,4\n", "line 3: it has 3 fields"),
        (
            "timestamp,value\n\"1,2\n2,3\n",
            "line 2: a row that begins here has no end",
        ),
        ("timestamp,value\n1,\u{666}\n", "line 2, column value"),
    ] {
        let error = scored(text.as_bytes(), Columns::Score).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
    let foreign = scored(b"timestamp,value\n1,\xff\n", Columns::Score).unwrap_err();
    assert!(foreign.to_string().contains("line 2, column value"), "{foreign}");
}

#[test]
fn a_header_alone_and_a_mark_of_the_byte_order_are_fine() {
    let (told, output) = scored(b"timestamp,value\n", Columns::Score).unwrap();
    assert_eq!((told.rows, &*output), (0, "timestamp,value,anomaly_score\n"));
    let (told, _) = scored(b"\xef\xbb\xbftimestamp,value\r\n1,2\r\n", Columns::Score).unwrap();
    assert_eq!(told.rows, 1);
}

#[test]
fn timestamps_that_do_not_rise_are_counted() {
    let check = |times: [&str; 4], expected: (u64, Option<u64>)| {
        let rows = times.map(|time| format!("{time},1\n")).concat();
        let (told, _) = scored(format!("timestamp,value\n{rows}").as_bytes(), Columns::Score).unwrap();
        assert_eq!((told.falling, told.first_falling), expected, "{times:?}");
    };
    check(["9", "10", "10.5", "1e3"], (0, None));
    check(["9", "10", "10", "9"], (2, Some(4)));
    check(["2026-01-02", "2026-01-03", "2026-01-01", "2026-01-02"], (1, Some(4)));
    check(["9:59", "10:00", "9:59", "10:00"], (0, None));
}

/// Gives one line at a time, and tells what had been written when it was asked for the next.
struct Slow<'a> {
    lines: Vec<&'static [u8]>,
    output: &'a RefCell<Vec<u8>>,
    seen: Vec<usize>,
}

impl Read for &mut Slow<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.seen
            .push(self.output.borrow().split(|byte| *byte == b'\n').count() - 1);
        if self.lines.is_empty() {
            return Ok(0);
        }
        let line = self.lines.remove(0);
        bytes[..line.len()].copy_from_slice(line);
        Ok(line.len())
    }
}

struct Shared<'a>(&'a RefCell<Vec<u8>>);

impl Write for Shared<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn what_is_found_is_handed_on_before_more_is_waited_for() {
    let output = RefCell::new(Vec::new());
    let mut input = Slow {
        lines: vec![b"timestamp,value\n", b"1,2\n", b"2,2\n3,2\n", b"4,2\n"],
        output: &output,
        seen: Vec::new(),
    };
    detect(&mut input, Shared(&output), how(Columns::Score)).unwrap();
    assert_eq!(input.seen[..5], [0, 1, 2, 4, 5], "{:?}", input.seen);
}

struct Full;

impl Write for Full {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::StorageFull.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_output_that_fails_is_told() {
    let error = detect(&b"timestamp,value\n1,2\n"[..], Full, how(Columns::Score)).unwrap_err();
    assert!(matches!(error, TableError::Write(_)), "{error}");
}

proptest! {
    /// Whatever comes, there is an answer: a row a row, or a fault.
    #[test]
    fn any_bytes_are_answered(rows in prop::collection::vec("[0-9a-z.,\"\\-+\r\n ]{0,12}", 0..40)) {
        let text = format!("timestamp,value\n{}", rows.join("\n"));
        if let Ok((told, output)) = scored(text.as_bytes(), Columns::ScoreAndPoints) {
            let (again, _) = scored(output.as_bytes(), Columns::Score).unwrap();
            prop_assert_eq!(again.rows, told.rows);
        }
    }
}

#[test]
fn a_row_without_an_end_is_refused_before_it_fills_the_memory() {
    let endless = io::repeat(b'1').take(1 << 40);
    let error = detect(b"timestamp,value\n".chain(endless), io::sink(), how(Columns::Score)).unwrap_err();
    assert!(matches!(error, TableError::Endless(2)), "{error}");
}
