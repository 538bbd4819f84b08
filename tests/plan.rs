//! Every preset can be planned, and the arena shares memory over time.

use cxr_engine::backend::cpu::Cpu;
use cxr_engine::data::{Caps, DataConfig, MaskConfig};
use cxr_engine::model::{ModelConfig, Pixels};
use cxr_engine::objective::{LossConfig, Objective, Setup};

#[test]
fn every_preset_is_planned_without_allocating_it() {
    for name in ModelConfig::PRESETS {
        let model = ModelConfig::preset(name).expect("a preset");
        model.check().expect("a sound preset");
        let loss = LossConfig {
            itc: 0.5,
            ..LossConfig::default()
        };
        let (mask, data) = (MaskConfig::default(), DataConfig::default());
        let caps = Caps::for_budget(&model, &mask, &loss, &data, 4096).expect("caps");
        let setup = Setup {
            model,
            loss,
            caps,
            pixels: Pixels {
                mean: 0.5,
                std: 0.25,
            },
            micro_batches: 1,
            labels: 14,
            seed: 0,
            train: true,
            ema: true,
        };
        let device = Box::new(Cpu::<f32>::new(1).expect("a thread"));
        let objective = Objective::planned(setup, device).expect("a plan");
        let table = objective.plan_table();
        println!("{name}\n{table}");
        assert!(table.contains("parameters") && table.contains("total"));
        // Gradients and scratch live where activations have died: well under everything ever written.
        let (arena, unshared) = objective.arena();
        assert!(10 * arena < 7 * unshared, "{name}: {arena} of {unshared}");
    }
}
