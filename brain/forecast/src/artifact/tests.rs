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
    artifact().save(folder.path()).unwrap();
    let text = fs::read_to_string(folder.path().join(META_FILE)).unwrap();
    let weights = fs::read(folder.path().join(WEIGHTS_FILE)).unwrap();
    let mut flipped = weights.clone();
    flipped[weights.len() / 2] ^= 1;
    let check = |meta: Option<&str>, weights: Option<&[u8]>, expected: &str| {
        let damaged = tempfile::tempdir().unwrap();
        meta.inspect(|meta| fs::write(damaged.path().join(META_FILE), meta).unwrap());
        weights.inspect(|weights| fs::write(damaged.path().join(WEIGHTS_FILE), weights).unwrap());
        let told = Artifact::load(damaged.path()).unwrap_err().to_string();
        assert!(told.contains(expected), "{expected:?} is not in {told:?}");
    };
    check(None, Some(&weights), "model.json");
    check(Some(&text), None, "weights.bpk");
    check(Some(&text), Some(&flipped), "checksum");
    check(Some(&text), Some(&weights[..weights.len() - 9]), "checksum");
    check(Some(&text[..text.len() / 2]), Some(&weights), "model.json");
    check(Some("[]"), Some(&weights), "model.json");
    check(
        Some(&text.replace("\"format\": 2", "\"format\": 99")),
        Some(&weights),
        "update foreshadow",
    );
    check(
        Some(&text.replace("\"format\": 2", "\"format\": 1")),
        Some(&weights),
        "older version",
    );
    check(
        Some(&text.replace("\"lag1\"", "\"lag0\"")),
        Some(&weights),
        "other features",
    );
    check(
        Some(&text.replace("\"hidden\": 8", "\"hidden\": 9")),
        Some(&weights),
        "weights.bpk",
    );
    check(
        Some(&text.replace("\"step_s\": 60", "\"step_s\": 0")),
        Some(&weights),
        "step_s = 0",
    );
    check(Some(&text.replace("\"steps\"", "\"stops\"")), Some(&weights), "stops");
}

#[test]
fn a_forecaster_on_another_grid_does_not_take_it() {
    let foreign = artifact().predictor(&Config::for_step(10)).unwrap_err();
    assert!(foreign.to_string().contains("60 s"), "{foreign}");
}
