"""Config names in use: of two configs with one name Hydra takes the first that it finds, and says nothing."""

from hydra.core.global_hydra import GlobalHydra
from hydra.core.object_type import ObjectType

from spiritsafe.errors import UserError


def check_names() -> None:
    """UserError where a config of the user's, or of a package's, has the name of another in its group."""
    found: dict[str, str] = {}
    for source in GlobalHydra.instance().config_loader().get_sources():
        if source.provider in ("hydra", "schema"):
            continue
        for group in source.list("", ObjectType.GROUP):
            for name in source.list(group, ObjectType.CONFIG):
                place, option = source.full_path(), f"{group}/{name}"
                if found.setdefault(option, place) != place:
                    raise UserError(
                        f"there are two configs {option}, in {found[option]} and {place}, and Hydra takes the first: "
                        "rename yours, or change the first by its options"
                    )
