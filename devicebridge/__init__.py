"""devicebridge: exam-room medical devices to MQTT."""

__version__ = "0.1.0"
