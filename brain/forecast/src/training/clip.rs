//! Gradients of all weights together are kept short.

use burn::{
    module::{Module, ModuleVisitor, Param},
    optim::GradientsParams,
    tensor::Tensor,
};

use crate::model::Network;

/// The longest that the gradients of all weights together may be.
const LONGEST: f32 = 1.0;

/// The gradients, made shorter by one factor where they are too long.
pub(super) fn clipped(network: &Network, gradients: GradientsParams) -> GradientsParams {
    let mut length = Length {
        gradients: &gradients,
        squares: 0.0,
    };
    network.visit(&mut length);
    let by = LONGEST / (length.squares.sqrt() + 1e-6);
    let mut shortened = gradients;
    if by < 1.0 {
        network.visit(&mut Shorten {
            gradients: &mut shortened,
            by,
        });
    }
    shortened
}

struct Length<'a> {
    gradients: &'a GradientsParams,
    squares: f32,
}

impl ModuleVisitor for Length<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.get::<D>(param.id) {
            self.squares += (gradient.clone() * gradient).sum().into_scalar::<f32>();
        }
    }
}

struct Shorten<'a> {
    gradients: &'a mut GradientsParams,
    by: f32,
}

impl ModuleVisitor for Shorten<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        if let Some(gradient) = self.gradients.remove::<D>(param.id) {
            self.gradients.register(param.id, gradient.mul_scalar(self.by));
        }
    }
}
