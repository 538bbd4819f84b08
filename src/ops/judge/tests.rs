use super::{Limits, reference};

const LIMITS: Limits = Limits {
    clip_norm: 1.0,
    max_loss: 10.0,
    max_grad_norm: 100.0,
};

fn judge(limits: &Limits, totals: &[f64], norm: f64) -> [f64; 3] {
    let mut verdict = [f64::NAN; 3];
    reference::judge(limits, &[1.0, 0.5, 0.0], totals, norm, &mut verdict);
    verdict
}

#[test]
fn a_sound_step_is_made_and_clipped() {
    // The second loss has no samples, the third no weight.
    let totals = [6.0, 2.0, 0.0, 7.0, 0.0, 0.0, f64::NAN, 1.0, 0.0];
    assert_eq!(judge(&LIMITS, &totals, 0.5), [3.0, 1.0, 1.0]);
    assert_eq!(judge(&LIMITS, &totals, 4.0), [3.0, 1.0, 0.25]);
    let unclipped = Limits {
        clip_norm: 0.0,
        ..LIMITS
    };
    assert_eq!(judge(&unclipped, &totals, 4.0), [3.0, 1.0, 1.0]);
}

#[test]
fn an_unsound_step_is_left_out() {
    let totals = |loss: f64| [loss, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
    for (loss, norm) in [
        (f64::NAN, 1.0),
        (f64::INFINITY, 1.0),
        (11.0, 1.0),
        (1.0, f64::NAN),
        (1.0, f64::INFINITY),
        (1.0, 101.0),
    ] {
        assert_eq!(judge(&LIMITS, &totals(loss), norm)[1], 0.0, "{loss} {norm}");
    }
    assert_eq!(judge(&LIMITS, &totals(10.0), 100.0)[1], 1.0);
}
