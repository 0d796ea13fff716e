//! `cargo xtask dashboards` and the check of what watches a running Cairn: dashboards as their panels say, rules as their tests say.
use crate::Failure;
use crate::run::{root, say, step};
use crate::setup::{self, WATCHERS};
use std::fs;
use std::process::Command;

const GRAFANA: &str = "infra/deploy/grafana";

/// One dashboard of `panels.txt`.
struct Dashboard<'a> {
    name: &'a str,
    title: &'a str,
    panels: Vec<Panel<'a>>,
}

/// One panel, and the queries whose lines it shows.
struct Panel<'a> {
    title: &'a str,
    unit: &'a str,
    lines: Vec<(&'a str, &'a str)>,
}

/// Rewrites the dashboards, or only says which are not as they should be.
pub fn dashboards(check_only: bool) -> Result<(), Failure> {
    let place = root().join(GRAFANA);
    let text = fs::read_to_string(place.join("panels.txt"))
        .map_err(|error| format!("{GRAFANA}/panels.txt: {error}"))?;
    let (mut stale, all) = (vec![], parse(&text)?);
    for dashboard in &all {
        let file = place.join(format!("{}.json", dashboard.name));
        let wanted = json(dashboard);
        if fs::read_to_string(&file).is_ok_and(|found| found == wanted) {
            continue;
        }
        stale.push(dashboard.name);
        if !check_only {
            fs::write(&file, wanted).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    match (stale.is_empty(), check_only) {
        (true, _) => say(&format!("{} dashboards are as their panels say", all.len())),
        (false, false) => say(&format!("wrote {}", stale.join(", "))),
        (false, true) => {
            return Err(format!("{}: run cargo xtask dashboards", stale.join(", ")));
        }
    }
    Ok(())
}

/// What `lint` asks: are the dashboards up to date, do the rules parse, and do their tests hold?
pub fn check() -> Result<(), Failure> {
    dashboards(true)?;
    setup::require(&[&WATCHERS])?;
    let place = root().join("infra/deploy/prometheus");
    for arguments in [["check", "config", "prometheus.yml"], ["test", "rules", "rules.test.yml"]] {
        let mut promtool = Command::new("promtool");
        promtool.args(arguments).current_dir(&place);
        step(&format!("promtool {}", arguments.join(" ")), &mut promtool)?;
    }
    Ok(())
}

fn parse(text: &str) -> Result<Vec<Dashboard<'_>>, Failure> {
    let mut all: Vec<Dashboard<'_>> = vec![];
    for (number, line) in text.lines().enumerate() {
        let wrong = || format!("{GRAFANA}/panels.txt:{}: not as its head says: {line}", number + 1);
        let (mark, rest) = line.split_once(' ').unwrap_or((line, ""));
        let parts: Vec<&str> = rest.split(" | ").map(str::trim).collect();
        let panels = all.last_mut().map(|dashboard| &mut dashboard.panels);
        match (mark, &parts[..], panels) {
            ("" | "#", _, _) => {}
            ("=", [names], _) => {
                let (name, title) = names.split_once(' ').ok_or_else(wrong)?;
                all.push(Dashboard { name, title, panels: vec![] });
            }
            ("-", [title, unit, query, legend], Some(panels)) => {
                panels.push(Panel { title, unit, lines: vec![(query, legend)] });
            }
            ("&", [query, legend], Some(panels)) => {
                panels.last_mut().ok_or_else(wrong)?.lines.push((query, legend));
            }
            _ => return Err(wrong()),
        }
    }
    Ok(all)
}

/// Two panels in a row, each half as wide as the page.
fn json(dashboard: &Dashboard<'_>) -> String {
    let panels = dashboard.panels.iter().enumerate().map(|(number, panel)| {
        let (x, y) = (number % 2 * 12, number / 2 * 8);
        let lines = panel.lines.iter().zip('A'..).map(|((query, legend), letter)| {
            let query = quoted(&query.replace("$rate", "$__rate_interval"));
            format!("{{\"refId\": \"{letter}\", \"expr\": {query}, \"legendFormat\": {}}}", quoted(legend))
        });
        format!(
            "    {{\n      \"id\": {}, \"type\": \"timeseries\", \"title\": {},\n      \
             \"datasource\": {{\"type\": \"prometheus\", \"uid\": \"${{source}}\"}},\n      \
             \"gridPos\": {{\"x\": {x}, \"y\": {y}, \"w\": 12, \"h\": 8}},\n      \
             \"fieldConfig\": {{\"defaults\": {{\"unit\": {}, \"min\": 0}}, \"overrides\": []}},\n      \
             \"targets\": [\n        {}\n      ]\n    }}",
            number + 1,
            quoted(panel.title),
            quoted(panel.unit),
            lines.collect::<Vec<_>>().join(",\n        "),
        )
    });
    format!(
        "{{\n  \"uid\": \"cairn-{}\", \"title\": {}, \"tags\": [\"cairn\"], \"schemaVersion\": 39,\n  \
         \"refresh\": \"30s\", \"time\": {{\"from\": \"now-6h\", \"to\": \"now\"}},\n  \
         \"templating\": {{\"list\": [{{\"name\": \"source\", \"type\": \"datasource\", \"query\": \"prometheus\"}}]}},\n  \
         \"panels\": [\n{}\n  ]\n}}\n",
        dashboard.name,
        quoted(&format!("Cairn: {}", dashboard.title)),
        panels.collect::<Vec<_>>().join(",\n"),
    )
}

/// As a string of JSON.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::{json, parse};

    #[test]
    fn a_panel_has_the_lines_that_follow_it() {
        let text = "= a Things\n- T | s | x{b=\"c\"}[$rate] | {{d}}\n& y | e\n";
        let all = parse(text).unwrap();
        let made = json(&all[0]);
        assert!(
            made.contains(r#""expr": "x{b=\"c\"}[$__rate_interval]", "legendFormat": "{{d}}""#)
        );
        assert!(made.contains(r#""refId": "B", "expr": "y""#), "{made}");
    }

    #[test]
    fn a_line_that_is_nothing_is_named() {
        for text in ["- T | s | x | y", "= a b\n- T | x", "= a b\n& x | y", "what"] {
            let number = text.lines().count();
            assert!(
                parse(text).err().unwrap().contains(&format!("panels.txt:{number}:")),
                "{text}"
            );
        }
    }
}
