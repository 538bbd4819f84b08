//! The known key that is most like an unknown one.

use crate::text::edit_distance;

fn last(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

/// The candidate nearest to `key`, if it is near enough to be a slip: the same name in another
/// section, or at most a third of the characters changed. Ties go to the first candidate.
pub fn nearest<'a>(key: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let whole = edit_distance(key, candidate);
        // A name that is right but in the wrong section costs one change.
        let name = edit_distance(last(key), last(candidate)) + 1;
        let cost = whole.min(name);
        let allowed = (last(key).chars().count() / 3).max(1) + 1;
        if cost <= allowed && best.is_none_or(|(c, _)| cost < c) {
            best = Some((cost, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: [&str; 5] = [
        "optim.lr",
        "optim.min_lr",
        "train.steps",
        "train.batch_tokens",
        "mask.image",
    ];

    fn find(key: &str) -> Option<&'static str> {
        nearest(key, KEYS.into_iter())
    }

    #[test]
    fn finds_slips_and_wrong_sections() {
        assert_eq!(find("train.step"), Some("train.steps"));
        assert_eq!(find("train.batchtokens"), Some("train.batch_tokens"));
        assert_eq!(find("lr"), Some("optim.lr"));
        assert_eq!(find("train.lr"), Some("optim.lr"));
        assert_eq!(find("trian.steps"), Some("train.steps"));
    }

    #[test]
    fn is_silent_when_nothing_is_near() {
        assert_eq!(find("wandb.project"), None);
    }
}
