"""What the environment, and a YAML file, say."""

from .loader import load_yaml_config
from .manager import ConfigManager, ConfigState, cleanup_config, get_config, get_config_manager, initialize_config
from .settings import ExporterConfig

__all__ = [
    "ConfigManager",
    "ConfigState",
    "ExporterConfig",
    "cleanup_config",
    "get_config",
    "get_config_manager",
    "initialize_config",
    "load_yaml_config",
]
