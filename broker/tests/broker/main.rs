//! The broker over real sockets: with rumqttc, with raw bytes, with mosquitto's own clients and with
//! foreshadow's bus.

mod bus_client;
mod delivery;
mod harness;
mod lifecycle;
mod mosquitto;
mod robustness;
