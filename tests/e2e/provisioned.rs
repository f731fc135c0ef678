//! The dashboards as files that Grafana is to take, and what provisions them: every name leads to something that is there.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use serde_json::Value;

use crate::dashboards::{dashboards, deploy};

/// Panels that Grafana has by itself, of those that fit what we show.
const PANELS: [&str; 9] = [
    "stat",
    "table",
    "timeseries",
    "gauge",
    "bargauge",
    "barchart",
    "heatmap",
    "state-timeline",
    "text",
];

/// Columns of Grafana's grid.
const WIDTH: u64 = 24;

/// Every object in a JSON value.
fn objects(value: &Value) -> Vec<&Value> {
    let inner: Vec<_> = match value {
        Value::Object(map) => map.values().flat_map(objects).collect(),
        Value::Array(list) => list.iter().flat_map(objects).collect(),
        _ => Vec::new(),
    };
    value.is_object().then_some(value).into_iter().chain(inner).collect()
}

fn list<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Words after `mark` in a text.
fn words_after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let is_of_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_' || letter == '-';
    let rest = text.split(mark).skip(1);
    rest.map(|rest| rest.split(|letter| !is_of_word(letter)).next().unwrap())
        .collect()
}

fn variables(dashboard: &Value) -> BTreeSet<&str> {
    list(&dashboard["templating"], "list")
        .map(|one| text(one, "name"))
        .collect()
}

/// What is wrong with panels: their kinds, numbers and places.
fn faults_of_panels(file: &str, dashboard: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    let mut numbers = BTreeSet::new();
    let mut cells = BTreeMap::new();
    for panel in list(dashboard, "panels") {
        let title = format!("{file}: {}", text(panel, "title"));
        if text(panel, "title").is_empty() {
            faults.push(format!("{title}: no title"));
        }
        if !PANELS.contains(&text(panel, "type")) {
            faults.push(format!("{title}: Grafana itself has no panel {}", panel["type"]));
        }
        if panel["id"].as_u64().is_none_or(|number| !numbers.insert(number)) {
            faults.push(format!("{title}: its id {} is another's", panel["id"]));
        }
        let [left, top, wide, high] = ["x", "y", "w", "h"].map(|key| panel["gridPos"][key].as_u64().unwrap_or(0));
        if wide == 0 || high == 0 || left + wide > WIDTH {
            faults.push(format!("{title}: not within the grid"));
        }
        for cell in (left..left + wide).flat_map(|x| (top..top + high).map(move |y| (x, y))) {
            if let Some(other) = cells.insert(cell, title.clone()).filter(|other| *other != title) {
                faults.push(format!("{title}: lies on {other}"));
                break;
            }
        }
        let names: Vec<_> = list(panel, "targets").map(|target| text(target, "refId")).collect();
        if names.is_empty() || names.iter().collect::<BTreeSet<_>>().len() < names.len() {
            faults.push(format!("{title}: queries {names:?} are not told apart"));
        }
    }
    faults
}

/// What is wrong with what dashboards name: sources of data, other dashboards and variables.
fn faults_of_names(all: &[(String, Value)], sources: &BTreeMap<String, String>) -> Vec<String> {
    let mut faults = Vec::new();
    let by_uid: BTreeMap<_, _> = all.iter().map(|(_, one)| (text(one, "uid"), one)).collect();
    if by_uid.len() < all.len() || by_uid.contains_key("") {
        faults.push(format!("uids are not unique: {:?}", by_uid.keys()));
    }
    for (file, dashboard) in all {
        for object in objects(dashboard) {
            if let Some(source) = object.get("datasource")
                && sources.get(text(source, "uid")).map(String::as_str) != source["type"].as_str()
            {
                faults.push(format!("{file}: there is no source of data {source}"));
            }
            let is_query = ["rawSql", "expr"].iter().any(|key| object.get(key).is_some());
            if is_query && object.get("datasource").is_none() && object.get("refId") != Some(&"Anno".into()) {
                faults.push(format!("{file}: a query without a source of data: {object}"));
            }
            let url = text(object, "url");
            for uid in words_after(url, "/d/") {
                let Some(there) = by_uid.get(uid) else {
                    faults.push(format!("{file}: {url} leads nowhere"));
                    continue;
                };
                let known = variables(there);
                for name in words_after(url, "var-")
                    .into_iter()
                    .filter(|name| !known.contains(name))
                {
                    faults.push(format!("{file}: {url}: {uid} has no variable {name}"));
                }
            }
        }
        let tagged = |tag: &Value| all.iter().any(|(_, other)| list(other, "tags").any(|has| has == tag));
        for link in list(dashboard, "links").filter(|link| !list(link, "tags").all(tagged)) {
            faults.push(format!("{file}: nothing has the tags of the link {link}"));
        }
        let known = variables(dashboard);
        let asked = objects(dashboard)
            .into_iter()
            .flat_map(|object| ["rawSql", "expr", "query"].map(|key| text(object, key)));
        for name in asked.flat_map(|asked| words_after(asked, "$")) {
            if !name.starts_with("__") && !known.contains(name) {
                faults.push(format!("{file}: there is no variable ${name}"));
            }
        }
    }
    faults
}

/// Names of the labels that a metric has by itself, by the list of all metrics, in backticks.
fn labels(metrics: &str, name: &str) -> String {
    let line = metrics.lines().find(|line| line.starts_with(&format!("| `{name}` |")));
    line.and_then(|line| line.split('|').nth(3))
        .unwrap_or_default()
        .to_owned()
}

/// Labels that legends take out of metrics which do not have them.
fn labels_that_lack(all: &[(String, Value)], metrics: &str) -> Vec<String> {
    let targets = all
        .iter()
        .flat_map(|(file, one)| objects(one).into_iter().map(move |object| (file, object)));
    let mut lacking = Vec::new();
    for (file, target) in targets {
        let (asked, legend) = (text(target, "expr"), text(target, "legendFormat"));
        let names = words_after(asked, "foreshadow_");
        let has: String = names
            .iter()
            .map(|rest| labels(metrics, &format!("foreshadow_{rest}")))
            .collect();
        let wanted = words_after(legend, "{{");
        let lacks = wanted.iter().filter(|label| !has.contains(&format!("`{label}`")));
        lacking.extend(lacks.map(|label| format!("{file}: {asked} has no {label}")));
    }
    lacking
}

#[test]
fn alerts_are_tried_with_labels_that_metrics_have() {
    let read = |path: &str| fs::read_to_string(deploy().join(path)).unwrap();
    let (metrics, tests) = (read("../docs/metrics.md"), read("prometheus/alerts_test.yml"));
    let series = tests
        .split("series: '")
        .skip(1)
        .map(|rest| rest.split_once('}').unwrap().0);
    let mut tried = 0;
    for (name, given) in series.map(|series| series.split_once('{').unwrap()) {
        let has = labels(&metrics, name);
        for pair in given.split(", ") {
            let label = pair.split('=').next().unwrap();
            // What a scrape gives to all that it reads.
            let is_of_scrape = ["job", "instance"].contains(&label);
            assert!(
                is_of_scrape || has.contains(&format!("`{label}`")),
                "{name} has no {label}"
            );
        }
        tried += 1;
    }
    assert!(tried > 20, "{tried} series");
}

/// Key of the data source's `uid`, and its type, from the lines of the provisioning.
fn sources(yaml: &str) -> BTreeMap<String, String> {
    let each = yaml.split("\n  - name: ").skip(1);
    each.map(|one| (value(one, "uid"), value(one, "type"))).collect()
}

/// The first value of a key in a part of a YAML file.
fn value(part: &str, key: &str) -> String {
    let mut lines = part.lines().map(str::trim);
    let found = lines.find_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
    found.unwrap_or_else(|| panic!("no {key} in {part}")).to_owned()
}

/// A service of the stack, as its lines.
fn service<'a>(compose: &'a str, name: &str) -> &'a str {
    let (_, rest) = compose
        .split_once(&format!("\n  {name}:\n"))
        .unwrap_or_else(|| panic!("no service {name}"));
    let end = rest
        .match_indices("\n  ")
        .find(|(at, _)| !rest[at + 3..].starts_with([' ', '#']));
    &rest[..end.map_or(rest.len(), |(at, _)| at)]
}

/// Where a file or folder of the project is seen in a service.
fn mounted(service: &str, path: &str) -> String {
    let mount = service.split(&format!("- ./{path}:")).nth(1);
    let mount = mount.unwrap_or_else(|| panic!("{path} is not mounted in {service}"));
    mount.lines().next().unwrap().trim_end_matches(":ro").to_owned()
}

#[test]
fn what_provisions_grafana_fits_the_stack() {
    let root = deploy().parent().unwrap().to_owned();
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let compose = read("docker-compose.yml");
    let [grafana, timescale, prometheus] = ["grafana", "timescaledb", "prometheus"].map(|name| service(&compose, name));

    // Files are looked for where they are seen.
    assert_eq!(
        mounted(grafana, "deploy/grafana/provisioning"),
        "/etc/grafana/provisioning"
    );
    let dashboards = mounted(grafana, "deploy/grafana/dashboards");
    assert_eq!(
        value(&read("deploy/grafana/provisioning/dashboards/foreshadow.yaml"), "path"),
        dashboards
    );
    let home = value(grafana, "GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH");
    let home = Path::new(&home).strip_prefix(&dashboards).unwrap();
    assert!(deploy().join("grafana/dashboards").join(home).is_file(), "{home:?}");

    // The database and Prometheus are those of the stack.
    let yaml = read("deploy/grafana/provisioning/datasources/foreshadow.yaml");
    let (database, metrics) = yaml.split_once("\n  - name: foreshadow metrics").unwrap();
    for (key, ours) in [("database", "POSTGRES_DB"), ("user", "POSTGRES_USER")] {
        assert_eq!(value(database, key), value(timescale, ours));
    }
    let port = value(database, "url");
    assert_eq!(port, "timescaledb:5432", "the service, at the port that its image has");
    let password = format!("$__file{{{}}}", mounted(grafana, "deploy/compose/database-password"));
    assert_eq!(value(database, "password"), password);
    assert_eq!(
        mounted(timescale, "deploy/compose/database-password"),
        value(timescale, "POSTGRES_PASSWORD_FILE")
    );
    let brain: brain::Config = runtime::config::load(&root.join("deploy/compose/brain.toml")).unwrap();
    let url = brain.store.database.unwrap();
    let [user, name] = ["POSTGRES_USER", "POSTGRES_DB"].map(|key| value(timescale, key));
    assert!(url.starts_with(&format!("postgres://{user}@{port}/{name}?")), "{url}");
    assert!(prometheus.contains("127.0.0.1:9090:9090"), "{prometheus}");
    assert_eq!(value(metrics, "url"), "http://prometheus:9090");

    // And so are the targets of Prometheus.
    let scraped = read("deploy/prometheus/prometheus.yml");
    assert_eq!(mounted(prometheus, "deploy/prometheus"), "/etc/prometheus");
    let broker: broker::Config = runtime::config::load(&root.join("deploy/compose/broker.toml")).unwrap();
    for (part, listens) in [("brain", brain.page.listen), ("broker", broker.metrics.unwrap())] {
        assert!(!service(&compose, part).is_empty());
        assert!(scraped.contains(&format!("\"{part}:{}\"", listens.port())), "{scraped}");
    }
    // Who asks the page there has the stack's own password, and the list of people comes with the brain's certificate.
    let password = scraped.split("password_file: /etc/prometheus/").nth(1).unwrap();
    let password = password.split(' ').next().unwrap();
    assert!(deploy().join("prometheus").join(password).is_file(), "{password}");
    assert!(brain.page.users.unwrap().starts_with("/etc/foreshadow/identity"));
    assert!(service(&compose, "brain").contains("- brain-identity:/etc/foreshadow/identity:ro"));
}

#[test]
fn dashboards_are_such_as_grafana_takes_and_lead_nowhere_else() {
    let yaml = fs::read_to_string(deploy().join("grafana/provisioning/datasources/foreshadow.yaml")).unwrap();
    let sources = sources(&yaml);
    assert_eq!(sources.len(), 2, "{sources:?}");
    let metrics = fs::read_to_string(deploy().join("../docs/metrics.md")).unwrap();
    let faults = |all: &[(String, Value)]| {
        let panels = all.iter().flat_map(|(file, one)| faults_of_panels(file, one));
        let panels: Vec<_> = panels.collect();
        [panels, faults_of_names(all, &sources), labels_that_lack(all, &metrics)].concat()
    };
    let all = dashboards();
    assert_eq!(faults(&all), Vec::<String>::new());

    // What is spoilt is found.
    let at = |name: &str| all.iter().position(|(file, _)| file == name).unwrap();
    let [fleet, host, cell] = ["fleet.json", "host.json", "cell.json"].map(at);
    let spoilt: [(usize, &str, Value, &str); 11] = [
        (fleet, "/panels/1/id", 1.into(), "its id 1 is another's"),
        (fleet, "/panels/1/gridPos/x", 3.into(), "lies on fleet.json: Hosts"),
        (fleet, "/panels/1/gridPos/x", 22.into(), "not within the grid"),
        (
            fleet,
            "/panels/0/type",
            "singlestat".into(),
            "Grafana itself has no panel",
        ),
        (fleet, "/panels/0/title", "".into(), "no title"),
        (cell, "/panels/0/targets/1/refId", "A".into(), "not told apart"),
        (host, "/uid", "foreshadow-hosts".into(), "leads nowhere"),
        (host, "/uid", "foreshadow-cell".into(), "uids are not unique"),
        (
            host,
            "/templating/list/0/name",
            "machine".into(),
            "foreshadow-host has no variable host",
        ),
        (
            host,
            "/panels/0/datasource/uid",
            "timescaledb".into(),
            "there is no source of data",
        ),
        (
            cell,
            "/panels/6/targets/0/legendFormat",
            "{{reason}}".into(),
            "has no reason",
        ),
    ];
    for (at, pointer, value, fault) in spoilt {
        let mut other = all.clone();
        *other[at].1.pointer_mut(pointer).unwrap() = value;
        let found = faults(&other);
        assert!(
            found.iter().any(|found| found.contains(fault)),
            "{pointer}: {fault} is not in {found:?}"
        );
        if let Some(tag) = other[at].1.pointer_mut("/links/0/tags/0") {
            *tag = "others".into();
        }
        assert!(
            faults(&other)
                .iter()
                .any(|found| found.contains("nothing has the tags"))
        );
    }
}
