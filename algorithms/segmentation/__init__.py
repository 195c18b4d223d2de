"""Networks that say of every voxel of a volume what it shows: their form, their weights, and how they are asked.

Training (`algorithms/train_segmentation`) makes them and a diagnostic asks them, so this room knows neither.

===================  =========================================================
``architecture``     the numbers that tell one of our networks from another
``unet``             our network
``entry``            what is known of a model: the registry's ``entry.json``
``weights``          the weights that an entry names, verified
``resample``         a volume at the spacing that a network was trained with
``blocks``           a volume in blocks that fit into memory
``segmenter``        a model ready to be asked
``archive``          a model that is a folder or a zip file
``torchscript``      models from elsewhere: TorchScript, MONAI bundles
``nnunet``           models from elsewhere: results folders of nnU-Net
``adopt``            the command that puts those into the registry
===================  =========================================================
"""
