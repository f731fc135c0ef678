use crate::store::sqlite;

#[test]
fn a_database_that_is_not_there_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let told = sqlite::history(folder.path()).err().unwrap().to_string();
    assert!(told.contains("brain.db"), "{told}");
}
