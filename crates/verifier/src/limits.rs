//! What an accepted receipt does not prove: one wording for every place that shows a verdict.

use proofmark_types::manifest::SetupKind;

use crate::receipt::SignatureVerdict;

/// What is not proven by a receipt that was accepted, a sentence each: under keys made in this way,
/// with this verdict on the signature, where `hidden` names the tensors of which the receipt shows a
/// commitment and nobody gave an opening.
pub fn not_proven(setup: SetupKind, signature: SignatureVerdict, hidden: &[&str]) -> Vec<String> {
    let mut open = Vec::new();
    if setup == SetupKind::SingleParty {
        open.push(
            "that nobody kept the setup's secret: the setup was single-party, so whoever made \
             the keys could have forged this proof unless they wiped the secret as the software \
             does"
                .to_owned(),
        );
    }
    open.push(
        "that the model is right, fair or fit for a purpose: only what it computed is proven"
            .to_owned(),
    );
    open.push(
        "floats: the proof binds the integers; reading them as probability or class is \
         recomputed here from the manifest's views"
            .to_owned(),
    );
    if !hidden.is_empty() {
        open.push(format!(
            "what {} holds: the receipt shows a commitment only; whoever knows the values can \
             open it",
            hidden.join(", ")
        ));
    }
    open.push(match signature {
        SignatureVerdict::ValidPinned { .. } => {
            "when it was proven, and by which software: the service that you pinned says so"
                .to_owned()
        }
        SignatureVerdict::ValidUnpinned { .. } => {
            "who signed, when, and with which software: the signature is valid, but its key was \
             not given with --service-key"
                .to_owned()
        }
    });
    open
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_types::Digest;

    #[test]
    fn each_limit_is_named_when_it_applies() {
        let key_id = Digest::of(b"key");
        let pinned = SignatureVerdict::ValidPinned { key_id };
        let unpinned = SignatureVerdict::ValidUnpinned { key_id };
        let least = not_proven(SetupKind::Ceremony, pinned, &[]);
        assert_eq!(least.len(), 3);
        let most = not_proven(SetupKind::SingleParty, unpinned, &["x", "y"]);
        assert_eq!(most.len(), 5);
        for (at, word) in ["single-party", "fair", "floats", "x, y", "--service-key"]
            .iter()
            .enumerate()
        {
            assert!(most[at].contains(word), "{}", most[at]);
        }
    }
}
