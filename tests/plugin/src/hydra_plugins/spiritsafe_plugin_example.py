"""Hydra finds this module by its package and asks it where else to look for configs."""

from hydra.core.config_search_path import ConfigSearchPath
from hydra.plugins.search_path_plugin import SearchPathPlugin


class SpiritSafePluginExample(SearchPathPlugin):
    def manipulate_search_path(self, search_path: ConfigSearchPath) -> None:
        search_path.append("spiritsafe_plugin_example", "pkg://spiritsafe_plugin_example.configs")
