//! What Terraform says: JSON lines of `init`, `plan` and `apply`, and the frames around the errors of the rest.

use serde_json::Value;

/// A line of `-json`.
#[derive(Debug, Clone, PartialEq)]
pub enum Said {
    /// What is being done: "aws_vpc.main: Creating...".
    Progress(String),
    Error(Complaint),
    /// The outputs, at the end of an `apply`.
    Outputs(Value),
    /// Anything else.
    Other,
}

/// An error in Terraform's words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Complaint {
    pub summary: String,
    pub detail: String,
    /// The resource that it is about.
    pub address: Option<String>,
}

impl Complaint {
    /// It could not release the state lock: nobody is there to ask, or somebody has removed it.
    pub fn is_of_release(&self) -> bool {
        self.summary.contains("releasing the state lock")
    }

    /// It says where the state is that could not be brought to where it belongs.
    pub fn is_of_stranded_state(&self) -> bool {
        self.summary == "Failed to persist state to backend"
    }
}

/// Reads one line; those that are no JSON, which `init` writes among them, say nothing that is needed.
pub fn read(line: &str) -> Said {
    let Ok(said) = serde_json::from_str::<Value>(line) else { return Said::Other };
    let message = || said["@message"].as_str().unwrap_or_default().to_owned();
    match said["type"].as_str().unwrap_or_default() {
        "diagnostic" if said["diagnostic"]["severity"] == "error" => {
            let text = |key: &str| said["diagnostic"][key].as_str().map(str::to_owned);
            Said::Error(Complaint {
                summary: text("summary").unwrap_or_else(message),
                detail: text("detail").unwrap_or_default(),
                address: text("address"),
            })
        }
        "apply_start" | "apply_progress" | "apply_complete" | "refresh_start" => Said::Progress(message()),
        "outputs" => Said::Outputs(said["outputs"].clone()),
        _ => Said::Other,
    }
}

/// The text without colours, which some commands have even where nobody sees them.
pub fn plain(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |plain, part| plain + part.split_once('m').map_or(part, |(_, rest)| rest))
}

/// The errors of a command without `-json`: each in a frame, the summary first, then where it is and why.
pub fn framed(stderr: &str) -> Vec<Complaint> {
    let mut complaints: Vec<Complaint> = Vec::new();
    let stderr = &plain(stderr);
    let lines = stderr.lines().map(|line| line.trim_start_matches(['│', '╷', '╵', ' ']).trim_end());
    let mut open = false;
    for line in lines {
        if let Some(summary) = line.strip_prefix("Error: ") {
            complaints.push(Complaint { summary: summary.to_owned(), ..Complaint::default() });
            open = true;
        } else if line.starts_with("Warning: ") {
            open = false;
        } else if let Some(complaint) = complaints.last_mut().filter(|_| open && !line.is_empty()) {
            let separator = if complaint.detail.is_empty() { "" } else { "\n" };
            complaint.detail = format!("{}{separator}{line}", complaint.detail);
        }
    }
    complaints
}

/// Who holds the lock of the state, as the error about it says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lock {
    pub id: String,
    pub operation: String,
    pub who: String,
    pub created: String,
}

impl Lock {
    /// From the detail of "Error acquiring the state lock".
    pub fn of(complaint: &Complaint) -> Option<Self> {
        if !complaint.summary.contains("acquiring the state lock") {
            return None;
        }
        let field = |name: &str| {
            let values = complaint.detail.lines().filter_map(|line| line.trim().strip_prefix(name));
            values.map(|value| value.trim().to_owned()).next()
        };
        let id = field("ID:")?;
        let rest = |name: &str| field(name).unwrap_or_default();
        Some(Self { id, operation: rest("Operation:"), who: rest("Who:"), created: rest("Created:") })
    }

    pub fn is_of_this_machine(&self) -> bool {
        let own = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        own.is_some_and(|own| self.who.rsplit_once('@').is_some_and(|(_, host)| host == own))
    }

    /// "`me@laptop` since 2026-01-02, for `terraform apply`"
    pub fn holder(&self) -> String {
        let operation = self.operation.strip_prefix("OperationType").unwrap_or(&self.operation).to_lowercase();
        format!("`{}` since {}, for `terraform {operation}`", self.who, self.created)
    }

    /// From the object that Terraform locks the state with.
    pub fn read(document: &Value) -> Option<Self> {
        let text = |key: &str| document[key].as_str().unwrap_or_default().to_owned();
        let id = document["ID"].as_str()?.to_owned();
        Some(Self { id, operation: text("Operation"), who: text("Who"), created: text("Created") })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn lines_are_progress_errors_or_outputs() {
        let progress = r#"{"@level":"info","@message":"aws_vpc.main: Still creating... [10s elapsed]","type":"apply_progress","hook":{}}"#;
        assert_eq!(read(progress), Said::Progress("aws_vpc.main: Still creating... [10s elapsed]".to_owned()));
        let error = json!({"type": "diagnostic", "diagnostic": {
            "severity": "error", "summary": "creating EC2 VPC", "detail": "VpcLimitExceeded", "address": "aws_vpc.main",
        }});
        let complaint = Complaint {
            summary: "creating EC2 VPC".to_owned(),
            detail: "VpcLimitExceeded".to_owned(),
            address: Some("aws_vpc.main".to_owned()),
        };
        assert_eq!(read(&error.to_string()), Said::Error(complaint));
        let warning = json!({"type": "diagnostic", "diagnostic": {"severity": "warning", "summary": "old"}});
        assert_eq!(read(&warning.to_string()), Said::Other);
        let outputs = json!({"type": "outputs", "outputs": {"vpc_id": {"value": "vpc-1"}}});
        assert_eq!(read(&outputs.to_string()), Said::Outputs(json!({"vpc_id": {"value": "vpc-1"}})));
        assert_eq!(read("Successfully configured the backend"), Said::Other);
    }

    #[test]
    fn errors_are_taken_out_of_their_frames() {
        let text =
            "╷\n│ Warning: Old\n│ \n│ It is old.\n╵\n╷\n│ Error: Failed to get it\n│ \n│ Could not\n│ reach it.\n╵\n";
        let complaint = Complaint {
            summary: "Failed to get it".to_owned(),
            detail: "Could not\nreach it.".to_owned(),
            address: None,
        };
        assert_eq!(framed(text), std::slice::from_ref(&complaint));
        let coloured =
            text.replace("│ ", "\u{1b}[31m│\u{1b}[0m \u{1b}[0m").replace("Error: ", "\u{1b}[1mError: \u{1b}[0m");
        assert_eq!(framed(&coloured), [complaint]);
    }

    #[test]
    fn a_lock_is_told_by_who_holds_it() {
        let detail = "Error message: operation error S3: PutObject\nLock Info:\n  ID:        1-2\n  Path:      b/k\n  \
                      Operation: OperationTypeApply\n  Who:       me@laptop\n  Version:   1.11.4\n  Created:   2026-01-02\n";
        let complaint = Complaint {
            summary: "Error acquiring the state lock".to_owned(),
            detail: detail.to_owned(),
            address: None,
        };
        let lock = Lock::of(&complaint).unwrap();
        assert_eq!((lock.id.as_str(), lock.who.as_str(), lock.created.as_str()), ("1-2", "me@laptop", "2026-01-02"));
        let document =
            json!({"ID": "1-2", "Operation": "OperationTypeApply", "Who": "me@laptop", "Created": "2026-01-02"});
        assert_eq!(Lock::read(&document), Some(lock));
        assert_eq!(Lock::of(&Complaint { summary: "Invalid index".to_owned(), ..complaint }), None);
    }
}
