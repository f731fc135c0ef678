use super::*;
use crate::{
    Forecaster, HostWindow,
    synthetic::{artifact, cycle, quick},
};

#[test]
fn what_is_saved_is_loaded_and_forecasts_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (saved, path) = (artifact(), folder.path().join("models/1"));
    saved.save(&path).unwrap();
    let loaded = Artifact::load(&path).unwrap();
    assert_eq!((loaded.version(), loaded.data()), (saved.version(), saved.data()));
    assert!(loaded.meta.scaler == saved.meta.scaler && loaded.config() == saved.config());
    assert_eq!(loaded.scores().rows.len(), saved.scores().rows.len());
    let rows = cycle("c", 90, 7).rows;
    let forecast = |artifact: &Artifact| {
        let mut forecaster = Forecaster::new(quick()).unwrap();
        forecaster.adopt(artifact).unwrap();
        let window = HostWindow { host: "c", rows: &rows };
        forecaster.step(0, &[window])
    };
    assert!(forecast(&saved)[0].forecasts[0].shares.lstm > 0.5);
    assert_eq!(forecast(&saved), forecast(&loaded));
    saved.save(&path).unwrap();
    Artifact::load(&path).unwrap();
}

#[test]
fn damage_is_refused_with_the_file_and_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("100-a");
    artifact().save(&path).unwrap();
    let whole = fs::read(&path).unwrap();
    let end = whole.iter().position(|byte| *byte == b'\n').unwrap();
    let (text, weights) = (std::str::from_utf8(&whole[..end]).unwrap(), &whole[end..]);
    let check = |bytes: &[u8], expected: &str| {
        let damaged = folder.path().join("200-b");
        fs::write(&damaged, bytes).unwrap();
        let told = Artifact::load(&damaged).unwrap_err().to_string();
        assert!(
            told.contains("200-b") && told.contains(expected),
            "{expected:?} is not in {told:?}"
        );
    };
    let mut flipped = whole.clone();
    flipped[end + weights.len() / 2] ^= 1;
    check(&flipped, "checksum");
    check(&whole[..whole.len() - 9], "checksum");
    check(&whole[..=end], "checksum");
    check(&whole[..end], "no header");
    check(&whole[..end / 2], "no header");
    check(b"", "no header");
    let replaced = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        [text.replace(from, to).as_bytes(), weights].concat()
    };
    check(&[b"[]", weights].concat(), "200-b");
    check(&[&text.as_bytes()[..end / 2], weights].concat(), "200-b");
    check(&replaced("\"format\":3", "\"format\":99"), "update foreshadow");
    check(&replaced("\"format\":3", "\"format\":2"), "older version");
    check(&replaced("\"lag1\"", "\"lag0\""), "other features");
    check(&replaced("\"hidden\":8", "\"hidden\":9"), "200-b");
    check(&replaced("\"step_s\":60", "\"step_s\":0"), "step_s = 0");
    check(&replaced("\"steps\"", "\"stops\""), "stops");
    let before = folder.path().join("50-folder");
    fs::create_dir(&before).unwrap();
    assert!(Artifact::load(&before).unwrap_err().to_string().contains("50-folder"));
}

#[test]
fn a_forecaster_on_another_grid_does_not_take_it() {
    let foreign = artifact().predictor(&Config::for_step(10)).unwrap_err();
    assert!(foreign.to_string().contains("60 s"), "{foreign}");
}
