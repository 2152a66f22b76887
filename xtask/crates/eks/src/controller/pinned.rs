//! Which chart the load balancer controller comes from, as `helm/load-balancer-controller/chart.toml` has it.

use anyhow::{Context, Result};
use base::error::Fault;
use remote_tools::helm::Chart;
use std::path::Path;
use toml::de::DeTable;

/// Below the root of the repository.
const FILE: &str = "helm/load-balancer-controller/chart.toml";

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pinned {
    pub(super) chart: String,
    pub(super) version: String,
    /// The tag of its image.
    pub(super) controller: String,
}

impl Pinned {
    /// # Errors
    /// When the file is not there or lacks something.
    pub(super) fn read(root: &Path) -> Result<Self> {
        let file = root.join(FILE);
        let text = std::fs::read_to_string(&file).with_context(|| format!("read `{}`", file.display()))?;
        Ok(Self::parse(&text)?)
    }

    pub(super) fn chart_from(&self, from: String) -> Chart {
        Chart::Published { from, name: self.chart.clone(), version: self.version.clone() }
    }

    fn parse(text: &str) -> Result<Self, Fault> {
        let document = DeTable::parse(text).map_err(|error| wrong(error.message()))?;
        let read = |key: &str| {
            let value = document.get_ref().get(key).and_then(|value| value.get_ref().as_str());
            let value = value.filter(|value| !value.is_empty());
            value.map(str::to_owned).ok_or_else(|| wrong(&format!("`{key}` is not a text")))
        };
        Ok(Self { chart: read("chart")?, version: read("version")?, controller: read("controller")? })
    }
}

fn wrong(why: &str) -> Fault {
    Fault::could_not_run("bad-pin", format!("`{FILE}`: {why}")).hint("put it back: `git checkout helm`")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_is_read_and_what_is_missing_is_named() {
        let whole = "chart = \"c\"\nversion = \"1\"\ncontroller = \"v1\"\nrepository = \"https://a\"\n";
        let pinned = Pinned { chart: "c".to_owned(), version: "1".to_owned(), controller: "v1".to_owned() };
        assert_eq!(Pinned::parse(whole), Ok(pinned));
        let fault = Pinned::parse("chart = \"c\"\nversion = \"\"\n").unwrap_err();
        assert!(fault.cause.ends_with("`version` is not a text"), "{}", fault.cause);
    }
}
