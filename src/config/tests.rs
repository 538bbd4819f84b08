use super::*;

fn parse(text: &str) -> Result<Config, ConfigError> {
    Config::parse(text, Path::new("run.toml"))
}

fn message(text: &str) -> String {
    match parse(text) {
        Ok(_) => panic!("accepted: {text}"),
        Err(e) => e.to_string(),
    }
}

fn set(sets: &[&str]) -> Result<Config, ConfigError> {
    let sets: Vec<String> = sets.iter().map(|s| (*s).to_owned()).collect();
    Config::load(None, &sets, Vec::new())
}

#[test]
fn every_preset_survives_printing_and_parsing() {
    for name in ModelConfig::PRESETS {
        let config = Config::preset(name).unwrap();
        let text = config.to_toml();
        assert_eq!(parse(&text).unwrap(), config, "{text}");
    }
    let text = default_config().to_toml();
    assert!(text.contains("text = 0.15\n"), "short floats: {text}");
}

#[test]
fn values_that_are_not_defaults_survive_too() {
    let config = parse(
        "seed = 7\n[model]\npreset = \"nano\"\nlayers = 3\n[data]\npath = \"a b\"\n\
         source_weights = { nih = 0.5, openi = 2 }\n[[data.couplings]]\nimages = \"nih\"\ntexts = \"openi\"\n\
         [optim]\nlr = 3e-4\n[mask]\nblock_weights = [1, 0.3]\n",
    )
    .unwrap();
    assert_eq!(config.model.layers, 3);
    assert_eq!(config.model.width, 64);
    assert_eq!(config.data.source_weights["openi"], 2.0);
    assert_eq!(parse(&config.to_toml()).unwrap(), config);
}

#[test]
fn later_layers_win_key_by_key() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(
        file.path(),
        "[train]\nsteps = 5\nkeep = 9\n[optim]\nlr = 0.1\n",
    )
    .unwrap();
    let sets = ["train.steps=6".to_owned(), "optim.lr=3e-4".to_owned()];
    let flags = vec![Setting::flag("--steps", "train.steps", 7)];
    let config = Config::load(Some(file.path()), &sets, flags).unwrap();
    assert_eq!(config.train.steps, 7);
    assert_eq!(config.train.keep, 9);
    assert_eq!(config.optim.lr, 3e-4);
    assert_eq!(config.optim.beta1, 0.9);
}

#[test]
fn a_preset_named_later_still_lies_below_the_overrides() {
    let config = set(&["model.layers=5", "model.preset=nano"]).unwrap();
    assert_eq!(
        (config.model.layers, config.model.width, config.model.vocab),
        (5, 64, 512)
    );
}

#[test]
fn sets_read_toml_and_fall_back_to_text() {
    let config = set(&[
        "data.path=/x/y z",
        "data.train_split=2024",
        "model.scales=[16, 32, 64]",
        "mask.whole_word=true",
        "data.source_weights.nih=0.25",
        "loss.patch_loss=smooth_l1",
    ])
    .unwrap();
    assert_eq!(config.data.path, "/x/y z");
    assert_eq!(config.data.train_split, "2024");
    assert_eq!(config.model.scales, [16, 32, 64]);
    assert!(config.mask.whole_word);
    assert_eq!(config.data.source_weights["nih"], 0.25);
    assert_eq!(
        config.loss.patch_loss,
        crate::objective::PatchLoss::SmoothL1
    );
}

#[test]
fn an_unknown_key_names_file_line_and_nearest_key() {
    let m = message("seed = 1\n\n[train]\nbatchtokens = 4\n");
    assert!(
        m.contains("run.toml:4: unknown key `train.batchtokens`"),
        "{m}"
    );
    assert!(
        m.contains("hint: did you mean `train.batch_tokens`?"),
        "{m}"
    );
    let m = message("[trian]\nsteps = 4\n");
    assert!(m.contains("run.toml:2: unknown key `trian.steps`"), "{m}");
    assert!(m.contains("did you mean `train.steps`?"), "{m}");
    let m = set(&["lr=1"]).unwrap_err().to_string();
    assert!(m.contains("--set: unknown key `lr`"), "{m}");
    assert!(m.contains("did you mean `optim.lr`?"), "{m}");
}

#[test]
fn a_value_of_the_wrong_kind_names_its_key() {
    let m = message("[train]\nsteps = \"many\"\n");
    assert!(m.contains("run.toml:2: `train.steps` = \"many\""), "{m}");
    let m = message("[train]\nsteps = -1\n");
    assert!(m.contains("`train.steps` = -1"), "{m}");
    let m = message("[model]\npreset = \"huge\"\n");
    assert!(m.contains("nano, tiny, small, base, large"), "{m}");
    let m = message("[loss]\npatch_loss = \"l3\"\n");
    assert!(
        m.contains("`loss.patch_loss`") && m.contains("smooth_l1"),
        "{m}"
    );
    let m = message("train = 3\n");
    assert!(m.contains("`train` = 3: is a section"), "{m}");
    let m = message("[[data.couplings]]\nimages = \"a\"\n");
    assert!(m.contains("data.couplings") && m.contains("texts"), "{m}");
}

#[test]
fn rules_between_keys_name_where_the_key_came_from() {
    let m = message("[model]\nheads = 3\n");
    assert!(m.contains("model.width / model.heads"), "{m}");
    assert!(m.contains("hint: it was set by run.toml:2"), "{m}");
    let m = message("[train]\naccumulate = 0\n");
    assert!(m.contains("train.accumulate = 0"), "{m}");
}

#[test]
fn broken_toml_and_broken_sets_are_refused() {
    let m = message("[train]\nsteps = = 4\n");
    assert!(m.contains("run.toml:2: not valid TOML"), "{m}");
    assert!(matches!(
        set(&["steps"]),
        Err(ConfigError::Assignment { .. })
    ));
    assert!(matches!(
        set(&[".a=1"]),
        Err(ConfigError::Assignment { .. })
    ));
    let missing = Config::load(Some(Path::new("/does/not/exist.toml")), &[], Vec::new());
    assert!(missing.unwrap_err().to_string().contains("exist.toml"));
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("configs")
        .join(format!("{name}.toml"))
}

#[test]
fn the_shipped_configurations_load_and_name_their_preset() {
    for name in ModelConfig::PRESETS {
        let config = Config::load(Some(&shipped(name)), &[], Vec::new()).unwrap();
        assert_eq!(config.model.preset, name);
        assert_eq!(config.model.shape, ModelConfig::preset(name).unwrap());
        assert_eq!(config.run.dir, format!("runs/{name}"));
    }
}

/// `tiny.toml` is the reference of every key: it must name each of them with its default.
#[test]
fn tiny_lists_every_key_with_its_default() {
    let path = shipped("tiny");
    let settings = from_file(&path, &is_leaf).unwrap();
    let named: Vec<String> = settings.iter().map(Setting::key).collect();
    let mut expected = default_config();
    expected.run.dir = "runs/tiny".into();
    let keys: Vec<String> = expected.entries().into_iter().map(|(k, _)| k).collect();
    assert_eq!(named, keys);
    assert_eq!(Config::resolve(&settings).unwrap(), expected);
}

#[test]
fn shapes_that_no_machine_holds_are_named_with_their_range() {
    for (setting, range) in [
        ("model.image=1099511627776", "1 to 8192"),
        ("model.vocab=1099511627776", "6 to 1048576"),
        ("model.vocab=5", "6 to 1048576"),
        ("model.mlp=1099511627776", "1 to 65536"),
        ("model.width=1099511627776", "32 to 16384"),
        ("model.heads=0", "1 to 512"),
        ("model.layers=1099511627776", "1 to 512"),
        ("model.max_text=1099511627776", "3 to 65536"),
    ] {
        let message = set(&[setting]).unwrap_err().to_string();
        let expected = setting.replace('=', " = ");
        assert_eq!(
            message,
            format!("{expected} is not in {range}\nhint: it was set by --set")
        );
    }
}
