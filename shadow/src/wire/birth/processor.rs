//! [`Processor`]s on the wire.

use schemas::v1;

use super::{CHECK, WireError};
use crate::Processor;

pub(super) fn processor_to_wire(processor: &Processor) -> v1::Processor {
    v1::Processor {
        vendor: processor.vendor.clone(),
        family: processor.family,
        model: processor.model,
        stepping: processor.stepping,
        microcode: processor.microcode,
        packages: processor.packages,
        cores: processor.cores,
        threads: processor.threads,
    }
}

pub(super) fn processor_from_wire(processor: v1::Processor) -> Result<Processor, WireError> {
    Ok(Processor {
        vendor: CHECK.text(format_args!("inventory.processor.vendor"), processor.vendor)?,
        family: processor.family,
        model: processor.model,
        stepping: processor.stepping,
        microcode: processor.microcode,
        packages: processor.packages,
        cores: processor.cores,
        threads: processor.threads,
    })
}
