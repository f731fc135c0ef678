//! The network with the weights of the reference implementation gives what that gives.

use std::{collections::BTreeMap, env, fs, path::PathBuf};

use serde::Deserialize;

use super::*;
use crate::scaler::Scaler;

/// What the reference implementation gives at three moments.
#[derive(Deserialize)]
struct Reference {
    /// By moment, target, feature.
    features: Vec<Vec<Vec<f32>>>,
    /// By moment, input, value.
    window: Vec<Vec<Vec<f32>>>,
    /// By moment, target, horizon, quantile.
    z: Vec<Vec<Vec<Vec<f32>>>>,
}

/// The arrays of an archive of numpy, 32-bit floats that are stored as they are.
fn archive(bytes: &[u8]) -> BTreeMap<String, Vec<f32>> {
    let (mut arrays, mut rest) = (BTreeMap::new(), bytes);
    let short = |at: &[u8]| usize::from(u16::from_le_bytes([at[0], at[1]]));
    while rest.starts_with(b"PK\x03\x04") {
        let (name, extra) = (short(&rest[26..]), short(&rest[28..]));
        let word = rest[30..30 + name].to_vec();
        let array = &rest[30 + name + extra..];
        assert!(array.starts_with(b"\x93NUMPY\x01"), "stored, not packed");
        let header = 10 + short(&array[8..]);
        let text = String::from_utf8_lossy(&array[10..header]);
        let shape = text.split(['(', ')']).nth(1).unwrap();
        let count: usize = shape
            .split(',')
            .filter_map(|n| n.trim().parse::<usize>().ok())
            .product();
        let end = header + 4 * count;
        let values = array[header..end].chunks_exact(4);
        let values = values
            .map(|four| f32::from_le_bytes(four.try_into().unwrap()))
            .collect();
        arrays.insert(String::from_utf8(word).unwrap().replace(".npy", ""), values);
        rest = &array[end..];
    }
    arrays
}

/// Columns `range` of a matrix of `width`, rows and columns changed over.
fn turned(values: &[f32], width: usize, range: std::ops::Range<usize>) -> Vec<f32> {
    let column = |column: usize| values.iter().skip(column).step_by(width).copied();
    range.flat_map(column).collect()
}

#[test]
fn the_output_is_that_of_the_reference_with_its_weights() {
    let Some(shared) = env::var_os("FORESHADOW_SHARED").map(PathBuf::from) else {
        println!("SKIPPED: set FORESHADOW_SHARED to the folder of reference data");
        return;
    };
    let check = shared.join("bench/forecast/check");
    let arrays = archive(&fs::read(check.join("weights.npz")).unwrap());
    let reference: Reference = serde_json::from_slice(&fs::read(check.join("check.json")).unwrap()).unwrap();
    let (hidden, features, targets) = (64, 90, 4);
    let enter = hidden + features + targets;
    let of = |name: &str| arrays[name].clone();
    let weights = [
        of("lstm.weight_ih_l0"),
        of("lstm.weight_hh_l0"),
        of("lstm.bias_ih_l0"),
        of("lstm.bias_hh_l0"),
        // Each target reads the state in its own way here, all in the same way there.
        turned(&of("enter.weight"), enter, 0..hidden)
            .chunks(256)
            .flat_map(|row| row.repeat(targets))
            .collect(),
        turned(&of("enter.weight"), enter, hidden..hidden + features),
        turned(&of("enter.weight"), enter, hidden + features..enter)
            .iter()
            .zip(of("enter.bias").iter().cycle())
            .map(|(of_target, bias)| of_target + bias)
            .collect(),
        turned(&of("mid.weight"), 256, 0..256),
        of("mid.bias"),
        turned(&of("out.weight"), 256, 0..256),
        of("out.bias"),
        turned(&of("skip.weight"), features, 0..features),
        // The reference has no peaks.
        vec![0.0; 256 * 6 + 6 + features * 6],
    ];
    let sizes = Sizes {
        targets,
        horizons: 3,
        holds: 1,
        features,
        looks: vec![(15, 24)],
        hidden,
        dense: 256,
        sequence: true,
    };
    let device = Device::flex();
    let network = Network::new(sizes.clone(), &mut StdRng::seed_from_u64(1), &device).with_weights(&weights.concat());
    let scaler = Scaler {
        mean: of("mean"),
        deviation: of("std"),
    };
    let mut statistics = reference.features.concat().concat();
    statistics
        .chunks_mut(targets * features)
        .for_each(|row| scaler.apply(row));
    let inputs = sizes.inputs(3, vec![reference.window.concat().concat()], statistics, &device);
    let found: Vec<f32> = forward(&network, &inputs).values.into_data().iter::<f32>().collect();
    let expected = reference.z.concat().concat().concat();
    assert_eq!(found.len(), expected.len());
    for (index, (found, expected)) in found.iter().zip(&expected).enumerate() {
        assert!((found - expected).abs() < 1e-4, "{index}: {found} for {expected}");
    }
}
