//! What a policy file may say, and what is said of one that may not.

use super::*;

fn faults(text: &str) -> Vec<String> {
    match Policy::parse(text) {
        Ok(_) => Vec::new(),
        Err(error) => error.faults.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_built_in_file_says_what_is_built_in() {
    let policy = Policy::parse(BUILT_IN).unwrap();
    let base = Policy::default();
    assert_eq!(policy.class(DEFAULT_CLASS).1, &Class::default());
    assert_eq!(
        (policy.budget, policy.safety, policy.cell, policy.limits),
        (base.budget, base.safety, base.cell, base.limits)
    );
    assert_eq!(Policy::parse("").unwrap(), base);
    let names: Vec<&str> = policy.class_names().collect();
    assert_eq!(names, ["default", "batch", "critical", HOST_CLASS]);
}

#[test]
fn classes_inherit_key_by_key() {
    let policy = Policy::parse(
        r#"
        [class.default]
        margin = { memory = 0.3 }
        lower = { dwell = "1h" }
        [class.web]
        quantile = 0.99
        margin = { cpu = 0.5 }
        lower = { slew = { disk = 1 } }
        "#,
    )
    .unwrap();
    let (name, web) = policy.class("web");
    assert_eq!((name, web.quantile, web.lower.dwell_ms), ("web", 0.99, 3_600_000));
    assert_eq!(
        web.margin,
        PerResource::all(0.1)
            .with(Resource::Memory, 0.3)
            .with(Resource::Cpu, 0.5)
    );
    assert_eq!(web.lower.slew, PerResource::all(0.25).with(Resource::Disk, 1.0));
    let (name, other) = policy.class("nowhere named");
    assert_eq!((name, other.margin.of(Resource::Memory)), (DEFAULT_CLASS, 0.3));
}

#[test]
fn all_faults_are_told_at_once_with_their_paths() {
    let found = faults(
        r#"
        bugdet = 1
        [budget]
        host_per_minute = 0
        [safety]
        stale_after = "5m"
        silent_after = "1m"
        settle = 5
        [cell]
        power_w = -1
        [limits]
        violations = 0
        changes_a_day = "none"
        own = 2
        react = true
        [class.web]
        quantile = 0.97
        margin = nan
        floor = { cpu = 0.9, gpu = 1 }
        ceiling = 0.5
        strategies = ["dynamic", "psychic"]
        horizon = "0s"
        [class.web.lower]
        dwell = "soon"
        "#,
    );
    let paths: Vec<&str> = found.iter().filter_map(|fault| fault.split(':').next()).collect();
    let expected = [
        "budget.host_per_minute",
        "safety.settle",
        "safety.silent_after",
        "cell.power_w",
        "limits.violations",
        "limits.changes_a_day",
        "limits.own",
        "limits.react",
        "class.web.strategies",
        "class.web.quantile",
        "class.web.horizon",
        "class.web.margin",
        "class.web.floor.gpu",
        "class.web.lower.dwell",
        "class.web.floor",
        "bugdet",
    ];
    assert_eq!(paths, expected, "{found:#?}");
}

#[test]
fn each_fault_names_its_key() {
    let check = |text: &str, path: &str| {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].starts_with(path), "{found:?} should start with {path}");
    };
    check("bugdet = 1", "bugdet: is not known");
    check("budget = 1", "budget: is a number; a table");
    check("[budget]\nhost_per_minute = 0", "budget.host_per_minute:");
    check("[budget]\nhost_per_minute = 1.5", "budget.host_per_minute:");
    check("[safety]\nsettle = 5", "safety.settle:");
    check("[safety]\nsettle = \"99 years\"", "safety.settle:");
    check("[safety]\nsilent_after = \"1s\"", "safety.silent_after: is shorter");
    check("[cell]\npower_w = -1", "cell.power_w:");
    check(
        "[limits]\nchanges_a_day = 0",
        "limits.changes_a_day: is 0; a number from 0.1",
    );
    check("[limits]\nchanges_a_day = nan", "limits.changes_a_day:");
    check("[limits]\nviolations = 0.9", "limits.violations:");
    check("[class.web]\nquantile = 0.97", "class.web.quantile:");
    check("[class.web]\nmargin = nan", "class.web.margin:");
    check("[class.web]\nmargin = { cpu = true }", "class.web.margin.cpu:");
    check(
        "[class.web]\nfloor = { gpu = 0.1 }",
        "class.web.floor.gpu: is not known",
    );
    check(
        "[class.web]\nfloor = { disk = 0.9 }\nceiling = 0.5",
        "class.web.floor: 0.9 of disk",
    );
    check("[class.web]\nstrategies = [\"psychic\"]", "class.web.strategies:");
    check("[class.web]\nstrategies = \"dynamic\"", "class.web.strategies:");
    check("[class.web]\nhorizon = \"0s\"", "class.web.horizon:");
    check("[class.web.lower]\nslew = 0", "class.web.lower.slew:");
    check("[class]\nbatch = 3", "class.batch: is a number");
    check("a = 1\n[class", "line 2 is no TOML: ");
    assert_eq!(
        faults("a = 1\n[budget]\nb = 2\n[class.web]\nmargin = -1\nquantile = 2").len(),
        4
    );
}

#[test]
fn a_file_that_is_too_large_is_not_parsed() {
    let text = "#".repeat((1 << 20) + 1);
    assert!(faults(&text)[0].contains("at most 1048576"));
}
