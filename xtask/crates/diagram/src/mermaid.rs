//! The few words of Mermaid that the diagrams are made of.

/// A flowchart, line by line.
pub(super) struct Chart {
    lines: Vec<String>,
    depth: usize,
}

impl Chart {
    /// `direction` as Mermaid has it: `LR`, `TB`.
    pub(super) fn new(direction: &str) -> Self {
        Self { lines: vec![format!("flowchart {direction}")], depth: 1 }
    }

    pub(super) fn line(&mut self, text: impl AsRef<str>) {
        self.lines.push(format!("{}{}", "  ".repeat(self.depth), text.as_ref()));
    }

    pub(super) fn group(&mut self, id: &str, title: &str, inside: impl FnOnce(&mut Self)) {
        self.line(format!("subgraph {id}[\"{}\"]", text(title)));
        self.depth += 1;
        inside(self);
        self.depth -= 1;
        self.line("end");
    }

    /// A box with a line for each of `lines`.
    pub(super) fn node(&mut self, id: &str, lines: &[&str]) {
        self.line(format!("{id}[\"{}\"]", label(lines)));
    }

    /// A cylinder, for what keeps data.
    pub(super) fn store(&mut self, id: &str, lines: &[&str]) {
        self.line(format!("{id}[(\"{}\")]", label(lines)));
    }

    /// A box with double sides, for what others have built.
    pub(super) fn foreign(&mut self, id: &str, lines: &[&str]) {
        self.line(format!("{id}[[\"{}\"]]", label(lines)));
    }

    /// Somebody outside.
    pub(super) fn actor(&mut self, id: &str, lines: &[&str]) {
        self.line(format!("{id}([\"{}\"])", label(lines)));
    }

    /// Gives nodes a dashed border.
    pub(super) fn dashed(&mut self, ids: &[String]) {
        if !ids.is_empty() {
            self.line("classDef maybe stroke-dasharray: 4 3");
            self.line(format!("class {} maybe", ids.join(",")));
        }
    }

    pub(super) fn finish(self) -> String {
        self.lines.join("\n")
    }
}

/// An id that Mermaid takes: no word of its own, such as `end`, can come of it, since it has a prefix.
pub(super) fn id(prefix: &str, name: &str) -> String {
    let plain: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{prefix}_{plain}")
}

fn label(lines: &[&str]) -> String {
    lines.iter().map(|line| text(line)).collect::<Vec<_>>().join("<br/>")
}

/// Text between quotes: what would end it, or be taken for markup, as Mermaid's entities.
fn text(plain: &str) -> String {
    let mut shown = String::with_capacity(plain.len());
    for c in plain.chars() {
        match c {
            '#' => shown.push_str("#35;"),
            '"' => shown.push_str("#quot;"),
            '<' => shown.push_str("#lt;"),
            '>' => shown.push_str("#gt;"),
            '`' => shown.push('\''),
            c if c.is_control() => shown.push(' '),
            c => shown.push(c),
        }
    }
    shown
}

/// A diagram as Markdown has it.
pub(super) fn fence(diagram: &str) -> String {
    format!("```mermaid\n{diagram}\n```")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_label_cannot_end_itself_and_an_id_is_a_word() {
        let mut chart = Chart::new("LR");
        let end = id("svc", "end-of \"x\"");
        chart.node(&end, &["a \"b\" <c> #d", "second"]);
        assert_eq!(chart.finish(), "flowchart LR\n  svc_end_of__x_[\"a #quot;b#quot; #lt;c#gt; #35;d<br/>second\"]");
    }
}
