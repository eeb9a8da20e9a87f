/* detect.h - the cascade of MTCNN (Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment using Multi-task
 * Cascaded Convolutional Networks, 2016): P-Net proposes, R-Net refines, O-Net decides and places the landmarks.
 * SPDX-License-Identifier: MIT
 * Thresholds and order of the steps are the mtcnn package's. */
#ifndef FACE_DETECT_DETECT_H
#define FACE_DETECT_DETECT_H

#include "boxes.h"
#include "image.h"
#include "nets.h"

int pyramid_levels(const image *picture);
void propose(nets *n, const image *picture, box_list *boxes);
void refine(nets *n, const image *picture, box_list *boxes);
void decide(nets *n, const image *picture, box_list *boxes);

#endif
