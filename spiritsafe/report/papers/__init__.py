"""Our curves beside the published points: one YAML a figure in configs/figure, drawn by `python -m scripts.figures`.

To add a figure, write ``configs/figure/NAME.yaml`` (its schema is `spiritsafe.report.papers.spec.Spec`; copy
reasoning_withheld.yaml), then write docs/figures.md anew by `python -m scripts.figures_page`:

    title, question    what it is called and what it asks
    runs               what is run, by name. ``overrides`` of the ordinary experiment hold at both scales, ``full`` ones
                       at full scale only; ``columns`` are constants that its rows carry (an x or a series). A run whose
                       overrides have variants or a ladder gives rows of each, told apart by the column ``variant``;
                       ``each: {radius: [0.1, 0.5]}`` makes a run of every value, which is a column and stands in the
                       overrides as <radius>.
                       ``table: detectors`` and ``table: cards`` read other tables, by ``options``
    lab, full          ``overrides`` that all runs of a scale share. Lab scale says how many ``minutes`` it took on 2
                       cores from an empty store (``measured: false``: is thought to take); full scale its
                       ``gpu_hours`` and ``needs``, as <name> in overrides
    draw               ``x``, ``y`` (one or several columns), ``series``, ``panel``, and what else `Draw` has
    published          numbers as data: source, place, evidence tag, units; or a ``direction`` where no more may be
                       said. On our axes (``axes: ours``, keys are our panels) where units agree, else at the right
    same, differs      a sentence each

Columns of an experiment's rows: those of `spiritsafe.measures.transfer.headline`, ``run``, ``variant``, what
`spiritsafe.report.papers.rows` adds (family, loss, accuracies, ownership tests), and the run's own ``columns``.
Evidence tags: P the paper, A its abstract, D derived from released files, R an unreviewed replication; S (secondary)
and M (unverified) are never drawn, and the schema refuses them.

Look at a new figure: `python -m scripts.figures figure=NAME`, then runs/figures/NAME/NAME.png. One more budget or seed
is an ordinary override after that. tests/configs/test_figure_configs.py composes every run at both scales.
"""
