//! The checked-in code is what the `.proto` files say.

use std::{env, fs, path::Path};

#[test]
fn generated_code_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let out = tempfile::tempdir().unwrap();
    let files = ["foreshadow/v1/shadow.proto", "foreshadow/v1/command.proto"];
    let set = protox::compile(files, [root.join("proto")]).unwrap();
    prost_build::Config::new()
        .bytes(["."])
        .out_dir(out.path())
        .compile_fds(set)
        .unwrap();
    let fresh = fs::read_to_string(out.path().join("foreshadow.v1.rs")).unwrap();
    let kept = root.join("src/gen/foreshadow.v1.rs");
    if env::var_os("REGENERATE").is_some() {
        fs::create_dir_all(kept.parent().unwrap()).unwrap();
        fs::write(&kept, &fresh).unwrap();
    }
    assert!(
        fs::read_to_string(&kept).is_ok_and(|kept| kept == fresh),
        "schemas/src/gen is stale: run REGENERATE=1 cargo test -p foreshadow-schemas"
    );
}
