//! Writing HTML so that nothing from a journal can become markup: what is not written in this source is escaped.

/// A piece of a page.
#[derive(Debug, Default)]
pub(super) struct Html(String);

/// An attribute's name and value.
pub(super) type Attribute<'a> = (&'static str, &'a str);

impl Html {
    pub(super) fn into_string(self) -> String {
        self.0
    }

    /// Markup as it stands in the source. Nothing else can be: what a journal holds does not live that long.
    pub(super) fn markup(&mut self, markup: &'static str) {
        self.0.push_str(markup);
    }

    /// Text, escaped.
    pub(super) fn text(&mut self, text: &str) {
        escape(text, &mut self.0);
    }

    /// Text, escaped, in which names stand in backticks, as in all that this tool says.
    pub(super) fn prose(&mut self, text: &str) {
        for (place, line) in text.split('\n').enumerate() {
            if place > 0 {
                self.text("\n");
            }
            let parts: Vec<&str> = line.split('`').collect();
            if parts.len().is_multiple_of(2) {
                // They do not come in pairs: something else is meant by them.
                self.text(line);
                continue;
            }
            for (place, part) in parts.into_iter().enumerate() {
                if place % 2 == 1 { self.leaf("code", &[], part) } else { self.text(part) }
            }
        }
    }

    /// An element with what `content` writes into it.
    pub(super) fn element(
        &mut self,
        name: &'static str,
        attributes: &[Attribute<'_>],
        content: impl FnOnce(&mut Self),
    ) {
        self.open(name, attributes);
        content(self);
        self.0.push_str("</");
        self.0.push_str(name);
        self.0.push('>');
    }

    /// An element with text.
    pub(super) fn leaf(&mut self, name: &'static str, attributes: &[Attribute<'_>], text: &str) {
        self.element(name, attributes, |html| html.text(text));
    }

    pub(super) fn open(&mut self, name: &'static str, attributes: &[Attribute<'_>]) {
        self.0.push('<');
        self.0.push_str(name);
        for (attribute, value) in attributes {
            self.0.push(' ');
            self.0.push_str(attribute);
            self.0.push_str("=\"");
            escape(value, &mut self.0);
            self.0.push('"');
        }
        self.0.push('>');
    }
}

/// Control characters, which programs colour their output with, become their visible signs: a page must not hold them.
fn escape(text: &str, into: &mut String) {
    for character in text.chars() {
        match character {
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '&' => into.push_str("&amp;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&#39;"),
            '\n' | '\t' => into.push(character),
            '\u{0}'..='\u{1f}' => into.push(char::from_u32(0x2400 + u32::from(character)).unwrap_or(' ')),
            '\u{7f}'..='\u{9f}' => into.push('\u{fffd}'),
            // Marks that would turn the order of what follows them around.
            '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => into.push('\u{fffd}'),
            _ => into.push(character),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_attributes_cannot_become_markup() {
        let mut html = Html::default();
        html.leaf("p", &[("title", "\"><script>x</script>")], "<script>alert('&')</script>");
        assert_eq!(
            html.into_string(),
            "<p title=\"&quot;&gt;&lt;script&gt;x&lt;/script&gt;\">&lt;script&gt;alert(&#39;&amp;&#39;)&lt;/script&gt;</p>"
        );
    }

    #[test]
    fn names_in_backticks_are_marked_up_where_they_come_in_pairs() {
        let mut html = Html::default();
        html.prose("`<a>` needs `b`\nit`s\n``");
        assert_eq!(html.into_string(), "<code>&lt;a&gt;</code> needs <code>b</code>\nit`s\n<code></code>");
    }

    #[test]
    fn control_characters_are_shown_not_obeyed() {
        let mut html = Html::default();
        html.text("\u{1b}[31mred\r\u{0}\n\u{202e}");
        assert_eq!(html.into_string(), "␛[31mred␍␀\n\u{fffd}");
    }
}
